package main

import (
	"errors"
	"os"
	"runtime"
)

// endings are the ways in which a call ends after it has marked, by verb.
var endings = map[string]func() ([]byte, error){
	"mark":     func() ([]byte, error) { return nil, nil },
	"closeout": closeout,
	"error":    func() ([]byte, error) { return nil, errors.New("marked and failed") },
	"panic":    func() ([]byte, error) { panic("marked and panicked") },
	"goexit":   func() ([]byte, error) { runtime.Goexit(); return nil, nil },
	"trap":     func() ([]byte, error) { trap(); return nil, nil },
	"exit":     func() ([]byte, error) { os.Exit(3); return nil, nil },
	"overflow": func() ([]byte, error) { return make([]byte, deep(0)), nil },
	"abort":    abort,
	"memory":   exhaust,
	"flood":    func() ([]byte, error) { return make([]byte, 1<<20), nil },
}

// closeout closes the standard streams, and leaves the variables as they are.
func closeout() ([]byte, error) {
	for _, f := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		_ = f.Close() // a second time, in an instance that is kept
	}
	return nil, nil
}

// deep never returns and does not end in a loop.
func deep(n int) int {
	if n < 0 {
		return 0
	}
	return deep(n+1) + 1
}

// abort panics where no one can recover.
func abort() ([]byte, error) {
	go panic("marked and aborted")
	select {}
}

// exhaust keeps memory until there is none.
func exhaust() ([]byte, error) {
	var all [][]byte
	for {
		block := make([]byte, 1<<20)
		block[0] = byte(len(all))
		all = append(all, block)
	}
}
