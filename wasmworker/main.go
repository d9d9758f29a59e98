package wasmworker

import (
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/sandpool/sandpool/internal/proc"
)

// exitFailure is a worker's exit status when it could not serve; the reason is
// on its standard error.
const exitFailure = 2

// Main serves and exits when this process was started as a worker; otherwise it
// returns at once. It belongs at the very start of main, or of TestMain, before
// flags are parsed and anything is started: everything ahead of it also runs in
// each worker. It is safe to call more than once.
func Main() {
	proc.SetHooked()
	if !proc.Marked() {
		return
	}
	// The goroutine of main, and of init, is tied to the first thread; a goroutine
	// of its own hands over faster while it starts. It ends the process, so nothing waits
	// for it.
	go func() { os.Exit(run()) }()
	select {}
}

// run is a worker's whole life; it returns the exit status.
func run() int {
	in, err := proc.Inherit()
	if err != nil {
		return fail(fmt.Errorf("not a worker of any host: %w", err))
	}
	calls, out, dog := new(ledger), newReplies(in.Replies), newWatchdog()
	// This goroutine lives as long as the process.
	go func() {
		if err := serveControl(in.Control, calls, out, dog); err != nil {
			os.Exit(fail(err))
		}
		os.Exit(0)
	}()
	runtime.LockOSThread() // for snapshot.Pages.OneThread; it blocks in system calls alone but for guests that sleep
	s, err := handshake(in, calls, out)
	if err == nil {
		s.dog = dog
		err = s.serve()
	}
	if err == nil || err == io.EOF { //nolint:errorlint // Reader.Next returns a bare io.EOF between frames
		return 0
	}
	return fail(err)
}

// fail reports err to the host through standard error.
func fail(err error) int {
	fmt.Fprintf(os.Stderr, "sandpool worker: %v\n", err)
	return exitFailure
}
