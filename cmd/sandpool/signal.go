package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that the first SIGINT or SIGTERM ends with a
// *signalError. The second one kills the process as if nothing had caught it.
// stop releases everything.
func untilSignal(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	ch := make(chan os.Signal, 1) // package signal does not wait for the receiver
	wanted := []os.Signal{syscall.SIGTERM}
	if !signal.Ignored(os.Interrupt) { // a shell ignores it for its background jobs
		wanted = append(wanted, os.Interrupt)
	}
	signal.Notify(ch, wanted...)
	exited := make(chan struct{})
	go func() { // exits with the first signal, or when stop cancels ctx
		defer close(exited)
		select {
		case s := <-ch:
			cancel(&signalError{s})
		case <-ctx.Done():
		}
		signal.Stop(ch)
	}()
	return ctx, func() {
		cancel(nil)
		<-exited
	}
}
