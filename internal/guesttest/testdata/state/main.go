// Command state is the guest that shows what a call leaves behind: see State in
// the package guesttest. Beyond that it checks its own runtime, with machinery, and
// shows its random numbers, with draw.
package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/sandpool/sandpool/guest"
)

func init() {
	guest.Register("mark", func(number []byte) ([]byte, error) {
		if len(number) != numberSize {
			return nil, errors.New("a mark's number has 8 bytes")
		}
		mark([numberSize]byte(number))
		return nil, nil
	})
	guest.Register("look", func([]byte) ([]byte, error) { return look() })
	guest.Register("do", do)
	guest.Register("machinery", machinery)
	guest.Register("draw", draw)
}

// do looks, or marks and ends in the verb's way.
func do(in []byte) ([]byte, error) {
	if len(in) != 2*numberSize {
		return nil, errors.New("the input of do is a verb of 8 bytes and a number")
	}
	verb := string(bytes.TrimRight(in[:numberSize], " "))
	if verb == "look" {
		return look()
	}
	end, ok := endings[verb]
	if !ok {
		return nil, fmt.Errorf("unknown verb %q", verb)
	}
	mark([numberSize]byte(in[numberSize:]))
	return end()
}

func main() {}
