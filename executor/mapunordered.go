package executor

import (
	"context"
	"iter"
)

// A Result is what a call returned.
type Result[Out any] struct {
	Value Out
	Err   error
}

// MapUnordered is [Map] in the order in which the calls get done: it yields each
// result with the index of its input, counted from 0. A slow call holds back
// no other's result, and up to a window's worth of inputs is taken while it runs.
func MapUnordered[In, Out any](ctx context.Context, e *Executor, fn Func[In, Out], inputs iter.Seq[In]) iter.Seq2[int, Result[Out]] {
	return func(yield func(int, Result[Out]) bool) {
		m := &unordered[Out]{yield: yield, window: newWindow(e), under: make(map[int]*Future[Out])}
		m.done = make(chan int, windowMost*m.window.workers) // room for all that are under way
		defer m.end()
		index := 0
		for in := range inputs {
			ended := ctx.Err() != nil
			i := index
			index++
			f := submit(ctx, e, fn, in, true, func() { m.done <- i })
			m.under[i] = f
			m.window.add(f.call)
			if f.call.settledEarly() {
				m.done <- i
			}
			if !m.advance() {
				return
			}
			if ended {
				break
			}
		}
		for len(m.under) > 0 {
			if !m.deliver(<-m.done) {
				return
			}
		}
	}
}

// settledEarly reports whether the call was never taken in, so that its hook is
// not called.
func (cl *call) settledEarly() bool {
	defer cl.lock()()
	return cl.untaken
}

// An unordered is one loop over a MapUnordered.
type unordered[Out any] struct {
	yield  func(int, Result[Out]) bool
	window window
	under  map[int]*Future[Out] // by input
	done   chan int             // inputs whose call is done and not yielded
}

// advance yields what is done, and waits for one when the window is full. It
// reports whether the loop goes on.
func (m *unordered[Out]) advance() bool {
	for {
		if m.window.full() {
			if !m.deliver(<-m.done) {
				return false
			}
			continue
		}
		select {
		case i := <-m.done:
			if !m.deliver(i) {
				return false
			}
		default:
			return true
		}
	}
}

// deliver yields the result of an input whose call is done.
func (m *unordered[Out]) deliver(i int) bool {
	f := m.under[i]
	delete(m.under, i)
	m.window.remove(f.call)
	out, err := f.result()
	return m.yield(i, Result[Out]{Value: out, Err: err})
}

// end ends the calls that are left.
func (m *unordered[Out]) end() {
	left := make([]*Future[Out], 0, len(m.under))
	for _, f := range m.under {
		left = append(left, f)
	}
	endAll(left)
}
