package executor

import (
	"context"
	"sync"

	"github.com/sandpool/sandpool/serialize"
)

// A Future is the result of a call, now or later. Submit makes it; all its
// methods are safe for concurrent use.
type Future[T any] struct {
	core *core // nil when the call was never queued
	call *call

	once sync.Once // decodes the output
	val  T
	err  error
}

// Wait waits for the call and returns its result. ctx bounds only the wait: when
// it ends first, Wait returns its cause and the call goes on. Wait may be called
// any number of times; every call returns the same value, which the callers share.
func (f *Future[T]) Wait(ctx context.Context) (T, error) {
	select {
	case <-f.call.done:
		return f.result()
	default:
	}
	select {
	case <-f.call.done:
		return f.result()
	case <-ctx.Done():
		var zero T
		return zero, context.Cause(ctx)
	}
}

// Done returns a channel that is closed when the call is done.
func (f *Future[T]) Done() <-chan struct{} { return f.call.done }

// Err returns nil while the call is not done, and then what Wait returns.
func (f *Future[T]) Err() error {
	select {
	case <-f.call.done:
		_, err := f.result()
		return err
	default:
		return nil
	}
}

// Cancel ends the call unless it is done and returns the state it found. A queued
// call is removed, a running one's worker is killed and replaced; either way the
// call's error is context.Canceled, at once.
func (f *Future[T]) Cancel() State {
	if f.core == nil {
		return Done
	}
	return f.core.cancel(f.call, context.Canceled)
}

// State returns how far the call has got.
func (f *Future[T]) State() State {
	if f.core == nil {
		return Done
	}
	f.core.mu.Lock()
	defer f.core.mu.Unlock()
	return f.call.state
}

// Usage returns what the call took, so far as that is known: all of it when the
// call is done.
func (f *Future[T]) Usage() Usage {
	if f.core == nil {
		return Usage{}
	}
	f.core.mu.Lock()
	defer f.core.mu.Unlock()
	return f.call.usage
}

// result decodes the output of a call that is done, once.
func (f *Future[T]) result() (T, error) {
	f.once.Do(func() {
		if f.err = f.call.err; f.err == nil {
			f.err = serialize.Decode(serialize.CodecFor[T](), f.call.output, &f.val)
			f.call.output = nil
		}
	})
	return f.val, f.err
}
