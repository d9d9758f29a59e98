package executor

import (
	"context"
	"iter"
)

// What may be under way in a Map for each of the executor's workers: enough calls
// that a worker never waits for the loop's body, and many where their inputs are
// small, so that they travel together.
const (
	windowLeast = 4
	windowMost  = 256
	windowBytes = 1 << 20 // of encoded inputs, for more than windowLeast
)

// Map calls fn with each input and yields the results in the order of the inputs.
// It is lazy: it takes inputs only as results are consumed, with a window of 256
// calls for each of the executor's workers, and fewer when the inputs in it take
// more than 1 MiB a worker, but at least four. While it waits for inputs it yields
// nothing: an iterator that blocks holds back results that are ready. A queue that is
// full is waited for. An error is that input's alone, and the loop goes on.
//
// Inputs of less than 4 KiB wait for workers together, and travel together: several times
// as many calls get done as by [Submit]. Each still has an instance of its own, limits of
// its own and an error of its own. See Options.Batch, which bounds how many a worker is
// handed. Calls of functions that are Pure, or have a Meter, go one by one, and all do where
// Options.MaxPending or TenantPending bounds what waits.
//
// When ctx ends, Map takes at most one more input; that one and the calls under way
// end with ctx's cause. When the loop is left early, the calls under way are ended
// as by [Future.Cancel] and waited for. A panic of inputs does the same and goes on
// to the loop. The sequence can be ranged over several times if inputs can.
func Map[In, Out any](ctx context.Context, e *Executor, fn Func[In, Out], inputs iter.Seq[In]) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		m := newMapping(ctx, e, fn)
		defer m.end()
		for in := range inputs {
			ended := ctx.Err() != nil
			m.start(in, ended)
			m.look()
			for len(m.queue) > 0 && (m.queue[0].done || m.window.full()) {
				if !yield(m.next()) {
					return
				}
			}
			if ended {
				break
			}
		}
		for len(m.queue) > 0 {
			if !yield(m.next()) {
				return
			}
		}
	}
}

// next waits for the oldest call and returns its result. The calls end when ctx does, so
// the wait does.
func (m *mapping[In, Out]) next() (Out, error) {
	it := m.queue[0]
	for !it.done {
		m.hear(m.out.wait())
	}
	m.queue[0] = nil
	m.queue = m.queue[1:]
	return m.result(it)
}

// A window counts the inputs of a Map whose results have not been yielded.
type window struct {
	workers int
	calls   int
	bytes   int
}

func newWindow(e *Executor) window {
	w := window{workers: 1}
	if x := e.existing(); x != nil {
		x.core.mu.Lock()
		w.workers = x.core.fleet.limit
		x.core.mu.Unlock()
	}
	return w
}

func (w *window) full() bool {
	return w.calls >= windowMost*w.workers || w.calls >= windowLeast*w.workers && w.bytes >= windowBytes*w.workers
}
