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
		m := newMapping(ctx, e, fn)
		defer m.end()
		deliver := func(done []*item) bool {
			m.hear(done)
			for _, it := range done {
				out, err := m.result(it)
				if !yield(it.index, Result[Out]{Value: out, Err: err}) {
					return false
				}
			}
			m.forget()
			return true
		}
		for in := range inputs {
			ended := ctx.Err() != nil
			m.start(in, ended)
			for done := m.out.take(); len(done) > 0; done = m.out.take() {
				if !deliver(done) {
					return
				}
			}
			for m.window.full() {
				if !deliver(m.out.wait()) {
					return
				}
			}
			if ended {
				break
			}
		}
		for m.under > 0 {
			if !deliver(m.out.wait()) {
				return
			}
		}
	}
}

// forget drops what is done at the queue's front.
func (m *mapping[In, Out]) forget() {
	for len(m.queue) > 0 && m.queue[0].done {
		m.queue[0] = nil
		m.queue = m.queue[1:]
	}
}
