// Command plain is a guest that uses all of the SDK but host functions, and that
// prints, as what drags in the most code can keep the most imports.
package main

import (
	"fmt"
	"log/slog"

	"github.com/sandpool/sandpool/guest"
)

func init() {
	guest.Register("greet", func(name string) (string, error) {
		slog.New(guest.LogHandler()).Info("greeting", "name", name)
		guest.Logf(guest.LevelDebug, "%v", name)
		return fmt.Sprintln("hello", name), nil
	})
}

func main() {}
