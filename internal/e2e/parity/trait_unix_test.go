//go:build unix

package parity_test

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// lastWords is what an exits42 worker says on its standard error.
const lastWords = "told to exit"

// exits42 is the trait of workers that exit with code 42 when they are prompted.
var exits42 = newTrait("exits42", func() {
	onPrompt(func() {
		fmt.Fprintln(os.Stderr, lastWords)
		os.Exit(42)
	})
})

// leaks is the trait of workers that lose 3 MiB each time they are prompted.
var leaks = newTrait("leaks", func() {
	onPrompt(func() {
		block := make([]byte, 3<<20)
		for i := 0; i < len(block); i += 1 << 10 {
			block[i] = 1
		}
		leaked = append(leaked, block)
	})
})

var leaked [][]byte

// onPrompt runs f in this process whenever it is prompted.
func onPrompt(f func()) {
	prompts := make(chan os.Signal, 100) // as many as may come at once
	signal.Notify(prompts, syscall.SIGUSR1)
	go func() { // for as long as the worker lives
		for range prompts {
			f()
		}
	}()
}

// prompt tells a worker with a trait to act.
func prompt(pid int) error { return syscall.Kill(pid, syscall.SIGUSR1) }
