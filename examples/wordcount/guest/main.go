// Command guest is the demo's guest: it counts the words of one text a call.
package main

import (
	"github.com/sandpool/sandpool/examples/wordcount/words"
	"github.com/sandpool/sandpool/guest"
)

func init() {
	guest.Register("count", func(text []byte) (map[string]int, error) {
		return words.Count(text), nil
	})
}

func main() {}
