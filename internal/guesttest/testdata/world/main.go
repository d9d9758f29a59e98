// Command world is a guest that tells what it finds of the world: arguments,
// environment, standard input, clocks and files. It is built as functions and as a
// command.
package main

import (
	"io"
	"os"
	"time"

	"github.com/sandpool/sandpool/guest"
)

// atInit is what initialisation has found.
var atInit = found()

func init() {
	guest.Register("look", look)
	guest.Register("nap", nap)
	guest.Register("files", files)
}

// A Found is what there is at one moment.
type Found struct {
	Args, Env []string
	Stdin     string
	Nanos     int64 // since 1970
}

// A Look is what there was at init, and what there is now.
type Look struct{ Init, Now Found }

func found() Found {
	stdin, err := io.ReadAll(os.Stdin)
	if err != nil {
		stdin = []byte(err.Error())
	}
	return Found{Args: os.Args, Env: os.Environ(), Stdin: string(stdin), Nanos: time.Now().UnixNano()}
}

func look(struct{}) (Look, error) { return Look{Init: atInit, Now: found()}, nil }

// A Nap says what the clocks showed before and after a sleep.
type Nap struct {
	Before, After int64         // nanoseconds since 1970
	Took          time.Duration // by the monotonic clock
}

func nap(d time.Duration) (Nap, error) {
	before := time.Now()
	time.Sleep(d)
	after := time.Now()
	return Nap{before.UnixNano(), after.UnixNano(), after.Sub(before)}, nil
}
