package guest

import (
	"bytes"
	"fmt"
	"runtime/debug"
)

// runner runs the calls on a goroutine that is not the export's own, which
// serves two ends.
//
// The first is runtime.Goexit: nothing can stop it, and on the export's
// goroutine it would end the guest. The second is the garbage collector. A call
// that never blocks would return to the host without passing through Go's
// scheduler, but a collection marks and sweeps in goroutines: it would never
// end, and every later call only add garbage. Waiting for another goroutine is
// such a pass, on which a mark worker goes first. (The clock would not help: the
// host may show one that stands still.)
//
// One goroutine serves all calls, since a new one starts with a small stack:
// growing that costs more than a small call.
type runner struct {
	work chan func() *failure // nil when there is no goroutine
	done chan *failure
}

// run returns what work returns, or how it ended otherwise. A panic in a
// goroutine that work started cannot be caught by anyone and ends the guest.
func (r *runner) run(work func() *failure) *failure {
	if r.work == nil {
		r.work, r.done = make(chan func() *failure), make(chan *failure)
		go r.loop(r.work, r.done) // exits on stop, or by a Goexit in work
	}
	r.work <- work
	failed, ok := <-r.done
	if !ok {
		r.work = nil
		return failf(codePanic, "function called runtime.Goexit")
	}
	return failed
}

func (r *runner) loop(work <-chan func() *failure, done chan<- *failure) {
	defer close(done)
	for w := range work {
		done <- contain(w)
	}
}

// stop ends the goroutine and waits for it.
func (r *runner) stop() {
	if r.work != nil {
		close(r.work)
		<-r.done
		r.work = nil
	}
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
