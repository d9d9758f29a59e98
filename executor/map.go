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
	windowMost  = 64
	windowBytes = 1 << 20 // of encoded inputs, for more than windowLeast
)

// Map calls fn with each input and yields the results in the order of the inputs.
// It is lazy: it takes inputs only as results are consumed, with a window of 64
// calls for each of the executor's workers, and fewer when the inputs in it take
// more than 1 MiB a worker, but at least four. While it waits for inputs it yields
// nothing: an iterator that blocks holds back results that are ready. A queue that is
// full is waited for. An error is that input's alone, and the loop goes on.
//
// Calls that are short are handed to workers several at a time, each still in an
// instance of its own; see Options.Batch.
//
// When ctx ends, Map takes at most one more input; that one and the calls under way
// end with ctx's cause. When the loop is left early, the calls under way are ended
// as by [Future.Cancel] and waited for. A panic of inputs does the same and goes on
// to the loop. The sequence can be ranged over several times if inputs can.
func Map[In, Out any](ctx context.Context, e *Executor, fn Func[In, Out], inputs iter.Seq[In]) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		m := &mapping[Out]{yield: yield, window: newWindow(e)}
		defer m.end()
		for in := range inputs {
			ended := ctx.Err() != nil
			f := submit(ctx, e, fn, in, true, nil)
			m.queue = append(m.queue, f)
			m.window.add(f.call)
			if !m.advance() {
				return
			}
			if ended {
				break
			}
		}
		m.drain()
	}
}

// A window counts the calls that are under way in a Map.
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

func (w *window) add(cl *call) {
	w.calls++
	w.bytes += cl.size
}

func (w *window) remove(cl *call) {
	w.calls--
	w.bytes -= cl.size
}

func (w *window) full() bool {
	return w.calls >= windowMost*w.workers || w.calls >= windowLeast*w.workers && w.bytes >= windowBytes*w.workers
}

// A mapping is one loop over a Map.
type mapping[Out any] struct {
	yield  func(Out, error) bool
	window window
	queue  []*Future[Out] // in input order
}

// advance yields what is done at the window's start, and waits for one when the
// window is full. It reports whether the loop goes on.
func (m *mapping[Out]) advance() bool {
	for len(m.queue) > 0 {
		if !isDone(m.queue[0]) && !m.window.full() {
			return true
		}
		if !m.next() {
			return false
		}
	}
	return true
}

// drain yields the rest of the window.
func (m *mapping[Out]) drain() {
	for len(m.queue) > 0 {
		if !m.next() {
			return
		}
	}
}

// next waits for the oldest call and yields it. The calls end when ctx does, so
// the wait does.
func (m *mapping[Out]) next() bool {
	f := m.queue[0]
	<-f.Done()
	out, err := f.result()
	m.queue[0] = nil
	m.queue = m.queue[1:]
	m.window.remove(f.call)
	return m.yield(out, err)
}

// end ends the calls that are left.
func (m *mapping[Out]) end() { endAll(m.queue) }

// endAll cancels futures and waits for them.
func endAll[Out any](fs []*Future[Out]) {
	for _, f := range fs {
		f.Cancel()
	}
	for _, f := range fs {
		<-f.Done()
	}
}
