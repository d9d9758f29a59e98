package executor

import (
	"context"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/serialize"
)

// Submit queues a call of fn with the input in and returns its future at once.
// It encodes in on the caller's goroutine; a []byte is not copied and must not be
// changed any more. What cannot be queued comes back as a future that
// has failed with the reason. Only with Options.BlockWhenFull does Submit wait, for
// room in the queue.
//
// ctx governs the call: when it ends, a queued call is removed and a running one
// ended as one that is over its time is, and the call's error is ctx's cause. When ctx is that of
// a host function, the call is nested in the one whose guest called the function; see
// [HostFunc].
func Submit[In, Out any](ctx context.Context, e *Executor, fn Func[In, Out], in In) *Future[Out] {
	for {
		x, err := e.currentFor(ctx)
		if err != nil {
			return &Future[Out]{call: failed(err)}
		}
		cl := fn.request(ctx, x, in)
		x.core.submit(ctx, x, cl, false)
		if !cl.refused || e.reusable == nil {
			return &Future[Out]{call: cl}
		}
	}
}

// request makes the call, or one that has failed already.
func (f Func[In, Out]) request(ctx context.Context, e *Executor, in In) *call {
	t, input, flags, err := f.encoded(&e.core.opts, in)
	if err != nil {
		return failed(err)
	}
	cl := newCall(t, input)
	cl.streams = f.streams
	if cl.flags = flags; t.command {
		cl.kind = callCommand
	}
	if err := cl.nest(ctx, e.core); err != nil {
		return failed(err)
	}
	if ctx.Err() != nil {
		return failed(context.Cause(ctx))
	}
	if f.Pure {
		e.core.remember(cl)
	}
	return cl
}

// encoded checks the function and returns its target, the payload of the call's CALL and
// its flags.
func (f *Func[In, Out]) encoded(o *Options, in In) (t target, input []byte, flags uint16, err error) {
	if raw, ok := any(&in).(*[]byte); ok && o.JobReducers == nil && len(f.Grants.Stdin) == 0 { // nothing is to be done to it
		if t, err = f.resolve(o, serialize.Raw.Name()); err == nil {
			err = checkInput(*raw, t.limits)
		}
		return t, *raw, 0, err
	}
	codec, value, err := f.encoding(o, in)
	if err != nil {
		return t, nil, 0, err
	}
	if t, err = f.resolve(o, codec.Name()); err != nil {
		return t, nil, 0, err
	}
	input, flags, err = f.payload(o.JobReducers, codec, value, t.limits)
	return t, input, flags, err
}

// payload returns the payload of the call's CALL and its flags.
func (f *Func[In, Out]) payload(r *serialize.Reducers, c serialize.Codec, in any, l Limits) (input []byte, flags uint16, err error) {
	if command, ok := in.(CommandInput); ok && f.command {
		input, err = command.payload(l)
		return input, wire.FlagCommand | wire.FlagStdin, err
	}
	if input, err = encode(r, c, in, l); err != nil || len(f.Grants.Stdin) == 0 {
		return input, 0, err
	}
	input, err = withStdin(f.Grants.Stdin, input, l)
	return input, wire.FlagStdin, err
}

// encode returns the bytes of an input, within the limit.
func encode(r *serialize.Reducers, c serialize.Codec, in any, l Limits) ([]byte, error) {
	input, err := r.Encode(c, in)
	if err != nil {
		return nil, err
	}
	return input, checkInput(input, l)
}

func checkInput(input []byte, l Limits) error {
	if size := int64(len(input)); size > l.Input {
		return &LimitError{Limit: guestabi.LimitInput, Max: l.Input, Used: size}
	}
	return nil
}

// submit queues cl, to be ended when ctx ends. A call that cannot be queued is done
// after that, with the reason. patient waits for room whatever Options.BlockWhenFull says.
// One that has been taken in calls its hook once when it is done.
func (c *core) submit(ctx context.Context, e *Executor, cl *call, patient bool) {
	cl.core = c
	if cl.state == Done {
		cl.hook = nil
		return
	}
	cl.owner = e
	watch := c.endWith(ctx, cl)
	if c.opts.Host != nil || cl.streams != nil {
		cl.values = context.WithoutCancel(ctx)
	}
	if cl.parent != nil {
		cl.parent.core.count(cl.parent, 1)
	}
	c.update(func() {
		if c.lent != nil {
			c.attendLocked(c.lent)
		}
		c.arriving, c.now = cl, cl.submitted
		c.arriveLocked(cl, patient || c.opts.BlockWhenFull)
	})
	if w := cl.direct; w != nil {
		w.sendDirect(cl) // it is watched when it is not lent any more
	} else if watch != nil {
		watch()
	}
	if cl.admitted != nil {
		<-cl.admitted // when there is room, or when the call ends; ctx ends it
	}
}

// arriveLocked takes a new call in, lets it wait for room, or fails it.
func (c *core) arriveLocked(cl *call, patient bool) {
	if err := c.refusesLocked(cl); err != nil {
		c.refuseCallLocked(cl, err)
		return
	}
	c.knowTenantLocked(cl.target.tenant)
	t := c.queue.tenant(cl.target.tenant)
	room := cl.depth > 1 || cl.usage.Cached || c.roomLocked(t)
	if !room && !patient {
		c.queue.forget(t)
		cl.hook, cl.untaken = nil, true
		c.finishLocked(cl, nil, ErrQueueFull)
		return
	}
	cl.tenant = t
	t.calls++
	c.pending++
	if room {
		c.acceptLocked(cl)
		return
	}
	cl.admitted = make(chan struct{})
	t.blocked.push(cl)
	c.blocked[t] = struct{}{}
}

// refuseCallLocked ends a call that is not taken in.
func (c *core) refuseCallLocked(cl *call, err error) {
	cl.refused, cl.untaken, cl.hook = true, true, nil
	c.finishLocked(cl, nil, err)
}

// refusesLocked reports why a new call cannot be taken in. The nested calls of
// one that goes on are part of it, also while the executor drains.
func (c *core) refusesLocked(cl *call) error {
	switch {
	case c.broken != nil:
		return c.brokenError()
	case c.phase == open:
		return nil
	case c.phase == draining && cl.parent != nil && cl.parent.core == c && cl.parent.state != Done:
		return nil
	default:
		return ErrShutdown
	}
}

// roomLocked reports whether another call of a tenant may wait for a worker.
func (c *core) roomLocked(t *tenant) bool {
	o := &c.opts
	return (o.MaxPending == 0 || c.waiting < o.MaxPending) && (o.TenantPending == 0 || t.waiting < o.TenantPending)
}

// admitLocked queues calls that wait for room, those of tenants with the fewest
// calls waiting first, and reports whether there was one.
func (c *core) admitLocked() (admitted bool) {
	for len(c.blocked) > 0 {
		var next *tenant
		for t := range c.blocked {
			if c.roomLocked(t) && (next == nil || t.waiting < next.waiting) {
				next = t
			}
		}
		if next == nil {
			break
		}
		cl := next.blocked.front()
		c.unlistLocked(cl)
		close(cl.admitted)
		c.acceptLocked(cl)
		admitted = true
	}
	return admitted
}

// acceptLocked takes a call in for good.
func (c *core) acceptLocked(cl *call) {
	if cl.usage.Cached {
		c.takenInLocked(nil, 1)
		c.stats.ResultHits++
		c.finishLocked(cl, cl.output, nil)
		return
	}
	m := c.moduleLocked(cl.target.module, cl.target.mode)
	m.users++
	cl.module = m
	if cl.items == nil {
		c.takenInLocked(m, 1)
	} else { // it is counted when it is known how many it has
		c.bundles[cl] = struct{}{}
	}
	c.enqueueLocked(cl, false)
}

// takenInLocked counts n calls of a module as taken in, or of none that matters.
func (c *core) takenInLocked(m *module, n int) {
	c.stats.Submitted += uint64(n)
	if m == nil {
		return
	}
	if m.calls += uint64(n); c.hottest == nil || m.calls > c.hottest.calls {
		c.hottest = m
	}
}

// watchLaterLocked is watch for after the transition.
func (c *core) watchLaterLocked(cl *call) {
	if cl.watch != nil {
		c.after = append(c.after, cl.watch)
	}
}

// endWith prepares what ends a call with the cause of its context's end, and returns what sets
// that up; nil for a context that cannot end.
func (c *core) endWith(ctx context.Context, cl *call) (watch func()) {
	if cl.ended = ctx.Done(); cl.ended == nil {
		return nil
	}
	expire := func() { c.cancel(cl, context.Cause(ctx)) }
	cl.expire, cl.watch = expire, func() { c.watch(ctx, cl, expire) }
	return cl.watch
}

// watch ends the call when ctx does. The callback has no owner to wait for it: it
// takes a lock, kills at most one process and returns.
func (c *core) watch(ctx context.Context, cl *call, expire func()) {
	stop := context.AfterFunc(ctx, expire)
	c.mu.Lock()
	done := cl.state == Done
	cl.release = stop
	c.mu.Unlock()
	if done {
		stop()
	}
}

// cancel ends the call with err if it is not done, and returns the state it was
// found in. A running call's worker is stopped, or killed.
func (c *core) cancel(cl *call, err error) State {
	var found State
	c.update(func() {
		found = cl.state
		c.cancelLocked(cl, err)
	})
	return found
}

// cancelLocked is cancel.
func (c *core) cancelLocked(cl *call, err error) {
	switch {
	case cl.state == Done:
	case cl.items != nil:
		c.cancelItemsLocked(cl, err)
	default:
		if cl.state == Running {
			c.stopLocked(cl.worker)
		}
		c.finishLocked(cl, nil, err)
	}
}
