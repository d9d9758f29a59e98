package main

import (
	"context"
	"errors"
	"syscall"

	"github.com/sandpool/sandpool/executor"
)

// A numbered is an input, or why there is none in its place.
type numbered[In any] struct {
	n   int // counted from 1
	in  In
	err error
}

// A pending is an input whose outcome is to be printed.
type pending[Out any] struct {
	n      int
	future *executor.Future[Out] // nil when err is set
	err    error
}

// done returns a channel that is closed when the outcome is known.
func (p pending[Out]) done() <-chan struct{} {
	if p.future == nil {
		return closedChannel
	}
	return p.future.Done()
}

var closedChannel = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// A pumping is one pump at work.
type pumping[In, Out any] struct {
	r     *runner
	fn    executor.Func[In, Out]
	show  func(Out) error
	queue []pending[Out] // in input order
	first error          // what the first failed input makes of the exit status
}

// pump calls the function with each input and shows the results in the inputs'
// order, each as soon as it is there. executor.Map would not do: it takes the
// next input before it yields a result, and so keeps from a conversation partner
// the answer that it waits for.
func pump[In, Out any](ctx context.Context, r *runner, inputs feed[In], show func(Out) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	items := make(chan numbered[In])
	go read(ctx, inputs, items)
	p := &pumping[In, Out]{
		r: r, show: show, fn: executor.Func[In, Out]{Module: r.module, Name: r.function, Codec: string(r.codec), Grants: r.grant},
	}
	for {
		var head <-chan struct{}
		if len(p.queue) > 0 {
			head = p.queue[0].done()
		}
		if head == nil && items == nil {
			return p.first
		}
		room := items
		if len(p.queue) >= r.window() {
			room = nil
		}
		if err := p.flush(head); err != nil {
			return err
		}
		select {
		case item, ok := <-room:
			if ok {
				p.submit(ctx, item)
			} else {
				items = nil
			}
		case <-head:
			if stop, err := p.settle(ctx); stop {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// read hands the inputs on one by one. It exits at their end or when ctx ends;
// while it waits for standard input it is left to the end of the process.
func read[In any](ctx context.Context, inputs feed[In], items chan<- numbered[In]) {
	defer close(items)
	n := 0
	for in, err := range inputs {
		n++
		select {
		case items <- numbered[In]{n, in, err}:
		case <-ctx.Done():
			return
		}
	}
}

// flush writes out what was printed unless the next result is there already.
func (p *pumping[In, Out]) flush(head <-chan struct{}) error {
	select {
	case <-head:
		return nil
	default:
		return outputError(p.r.out.Flush())
	}
}

func (p *pumping[In, Out]) submit(ctx context.Context, item numbered[In]) {
	next := pending[Out]{n: item.n, err: item.err}
	switch {
	case item.err != nil:
	case item.n > 1 && p.r.rawOut():
		next.err = usagef("--raw=%s takes one input, as its output is printed as it is", p.r.raw)
	default:
		next.future = executor.Submit(ctx, p.r.ex, p.fn, item.in)
	}
	p.queue = append(p.queue, next)
}

// settle shows the outcome of the first input in the queue, which is done. It
// reports whether that was the last one that matters, and the error to end with.
func (p *pumping[In, Out]) settle(ctx context.Context) (stop bool, err error) {
	next := p.queue[0]
	p.queue = p.queue[1:]
	err = next.err
	if next.future != nil {
		var out Out
		out, err = next.future.Wait(ctx)
		p.r.totals.add(next.future.Usage())
		if ctx.Err() != nil {
			return true, context.Cause(ctx)
		}
		if err == nil {
			err = p.show(out)
		}
	}
	if err == nil {
		return false, nil
	}
	if e, ok := errors.AsType[*statusError](err); errors.Is(err, syscall.EPIPE) || ok && e.status == statusSystem {
		return true, err // of the output: nothing more can be shown
	}
	if err := outputError(p.r.out.Flush()); err != nil {
		return true, err
	}
	told, stop := p.r.fail(ctx, next.n, err)
	if p.first == nil {
		p.first = told
	}
	return stop, p.first
}
