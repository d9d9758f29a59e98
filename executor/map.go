package executor

import (
	"context"
	"iter"
)

// windowPerWorker is how many calls of a Map may be under way for each worker:
// enough that a worker never waits for the loop's body.
const windowPerWorker = 4

// Map calls fn with each input and yields the results in the order of the inputs.
// It is lazy: it takes inputs only as results are consumed, with a window of four
// calls for each of the executor's workers. While it waits for inputs it yields
// nothing: an iterator that blocks holds back results that are ready. An error is
// that input's alone, and the loop goes on.
//
// When ctx ends, Map takes at most one more input; that one and the calls under way
// end with ctx's cause. When the loop is left early, the calls under way are ended
// as by [Future.Cancel] and waited for. A panic of inputs does the same and goes on
// to the loop. The sequence can be ranged over several times if inputs can.
func Map[In, Out any](ctx context.Context, e *Executor, fn Func[In, Out], inputs iter.Seq[In]) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		m := &mapping[Out]{yield: yield, room: windowPerWorker * e.core.opts.Workers}
		defer m.end()
		for in := range inputs {
			ended := ctx.Err() != nil
			m.window = append(m.window, Submit(ctx, e, fn, in))
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

// A mapping is one loop over a Map.
type mapping[Out any] struct {
	yield  func(Out, error) bool
	room   int
	window []*Future[Out] // in input order
}

// advance yields what is done at the window's start, and waits for one when the
// window is full. It reports whether the loop goes on.
func (m *mapping[Out]) advance() bool {
	for len(m.window) > 0 {
		select {
		case <-m.window[0].Done():
		default:
			if len(m.window) < m.room {
				return true
			}
		}
		if !m.next() {
			return false
		}
	}
	return true
}

// drain yields the rest of the window.
func (m *mapping[Out]) drain() {
	for len(m.window) > 0 {
		if !m.next() {
			return
		}
	}
}

// next waits for the oldest call and yields it. The calls end when ctx does, so
// the wait does.
func (m *mapping[Out]) next() bool {
	f := m.window[0]
	<-f.Done()
	out, err := f.result()
	m.window = m.window[1:]
	return m.yield(out, err)
}

// end ends the calls that are left.
func (m *mapping[Out]) end() {
	for _, f := range m.window {
		f.Cancel()
	}
	for _, f := range m.window {
		<-f.Done()
	}
}
