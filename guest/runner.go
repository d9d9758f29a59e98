package guest

import (
	"bytes"
	"fmt"
	"runtime"
	"runtime/debug"
)

// passEvery is after how many calls of an instance one passes through Go's scheduler.
const passEvery = 16

// runner runs the calls, on the export's own goroutine: to hand them to another one and
// back takes several times as long as a small call.
//
// A call that never blocks returns to the host without passing through Go's scheduler,
// but a collection marks and sweeps in goroutines: it would never end, and every later
// call only add garbage. So one call in passEvery lets others run first. (The clock would
// not help: the host may show one that stands still.)
type runner struct {
	calls int // since the last pass
}

// run returns what work returns, or how it ended otherwise. A panic in a goroutine that
// work started cannot be caught by anyone and ends the guest. So does runtime.Goexit,
// which nothing can stop: the host is told before it ends.
func (r *runner) run(h host, work func() *failure) *failure {
	if r.calls++; r.calls == passEvery {
		r.calls = 0
		runtime.Gosched()
	}
	ended := false
	defer func() {
		if !ended {
			h.fail(codePanic, "function called runtime.Goexit", "")
			h.exit()
		}
	}()
	failed := contain(work)
	ended = true
	return failed
}

// contain turns a panic in work into a failure.
func contain(work func() *failure) (failed *failure) {
	defer func() {
		if v := recover(); v != nil {
			// Sprint survives an Error or String method that panics.
			failed = &failure{codePanic, fmt.Sprint(v), string(trimStack(debug.Stack()))}
		}
	}()
	return work()
}

// trimStack drops the frames above the one that panicked: those of the
// recovering function, of panic and of the runtime's checks.
func trimStack(stack []byte) []byte {
	header, frames, _ := bytes.Cut(stack, []byte("\n"))
	at := bytes.Index(frames, []byte("\npanic("))
	if at < 0 {
		return stack
	}
	rest := frames[at+1:]
	for bytes.HasPrefix(rest, []byte("panic(")) || bytes.HasPrefix(rest, []byte("runtime.")) {
		// A frame is two lines: the call and its position.
		_, after, _ := bytes.Cut(rest, []byte("\n"))
		_, after, ok := bytes.Cut(after, []byte("\n"))
		if !ok {
			return stack
		}
		rest = after
	}
	return append(append(header, '\n'), rest...)
}
