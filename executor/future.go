package executor

import (
	"context"
	"runtime/debug"
	"sync"
)

// A Future is the result of a call, now or later. Submit makes it; all its
// methods are safe for concurrent use.
type Future[T any] struct {
	call *call

	once sync.Once // decodes the output
	val  T
	err  error

	mu        sync.Mutex         // guards the fields below; never held while a callback runs
	callbacks []func(*Future[T]) // registered and not run yet, in order
	calling   bool               // there is a goroutine that runs them
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
	f.call.answerHere(ctx)
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
func (f *Future[T]) Done() <-chan struct{} {
	f.call.attend()
	return f.call.done
}

// Err returns nil while the call is not done, and then what Wait returns.
func (f *Future[T]) Err() error {
	f.call.attend()
	select {
	case <-f.call.done:
		_, err := f.result()
		return err
	default:
		return nil
	}
}

// Cancel ends the call unless it is done and returns the state it found. A queued
// call is removed, a running one is ended as Options.Interrupt says; either way the
// call's error is context.Canceled, at once.
func (f *Future[T]) Cancel() State {
	if f.call.core == nil {
		return Done // it never was anywhere
	}
	return f.call.core.cancel(f.call, context.Canceled)
}

// State returns how far the call has got.
func (f *Future[T]) State() State {
	defer f.call.lock()()
	return f.call.state
}

// Usage returns what the call took, so far as that is known: all of it when the
// call is done.
func (f *Future[T]) Usage() Usage {
	defer f.call.lock()()
	return f.call.usage
}

// lock locks what guards the call and returns the unlocking.
func (cl *call) lock() func() {
	if cl.core == nil {
		return func() {} // constant from the start
	}
	cl.attend()
	cl.core.mu.Lock()
	return cl.core.mu.Unlock
}

// result decodes the output of a call that is done, once.
func (f *Future[T]) result() (T, error) {
	f.once.Do(func() {
		if f.err = f.call.err; f.err == nil {
			f.err = f.decode()
			f.call.output = nil
		}
	})
	return f.val, f.err
}

// decode sets val to what the output holds.
func (f *Future[T]) decode() error {
	return decodeOutput(&f.call.core.opts, &f.call.target, f.call.output, &f.val) // a call that is done well has been in a core
}

// OnDone has fn called with the future once the call is done; at once, if it is
// already. The callbacks of a future run one after another in the order they were
// registered, on a goroutine of the future's own, so fn may do anything: wait,
// submit, close the executor. A panic of fn is contained and reported to
// Options.Logger; the callbacks after it still run. Close and Shutdown do not wait
// for callbacks. Prefer a select on [Future.Done] where there is a goroutine to do it.
func (f *Future[T]) OnDone(fn func(*Future[T])) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.call.attend()
	f.callbacks = append(f.callbacks, fn)
	if !f.calling {
		f.calling = true
		go f.runCallbacks() // nobody waits for it; exits after the last callback
	}
}

// runCallbacks runs what is registered, once the call is done, until there is
// nothing more.
func (f *Future[T]) runCallbacks() {
	<-f.call.done
	for {
		f.mu.Lock()
		if len(f.callbacks) == 0 {
			f.calling = false
			f.mu.Unlock()
			return
		}
		fn := f.callbacks[0]
		f.callbacks = f.callbacks[1:]
		f.mu.Unlock()
		f.runCallback(fn)
	}
}

func (f *Future[T]) runCallback(fn func(*Future[T])) {
	defer func() {
		if p := recover(); p != nil && f.call.core != nil {
			f.call.core.log.Error("callback panicked", "func", f.call.target.name, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	fn(f)
}
