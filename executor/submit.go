package executor

import (
	"context"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/serialize"
)

// Submit queues a call of fn with the input in and returns its future at once.
// It encodes in on the caller's goroutine; a []byte is not copied and must not be
// changed any more. What cannot be queued comes back as a future that
// has failed with the reason.
//
// ctx governs the call: when it ends, a queued call is removed and a running one
// ended by killing its worker, and the call's error is ctx's cause.
func Submit[In, Out any](ctx context.Context, e *Executor, fn Func[In, Out], in In) *Future[Out] {
	t, err := fn.resolve(&e.core.opts)
	if err != nil {
		return &Future[Out]{core: e.core, call: failed(err)}
	}
	input, err := encode(in, t.limits)
	if err != nil {
		return &Future[Out]{core: e.core, call: failed(err)}
	}
	if ctx.Err() != nil {
		return &Future[Out]{core: e.core, call: failed(context.Cause(ctx))}
	}
	cl := newCall(t, input)
	cl.owner = e
	e.core.submit(ctx, cl)
	return &Future[Out]{core: e.core, call: cl}
}

// encode returns in's bytes, within the limit.
func encode[In any](in In, l Limits) ([]byte, error) {
	input, err := serialize.Encode(serialize.CodecFor[In](), in)
	if err != nil {
		return nil, err
	}
	if size := int64(len(input)); size > l.Input {
		return nil, &LimitError{Limit: guestabi.LimitInput, Max: l.Input, Used: size}
	}
	return input, nil
}
