package executor

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/sandpool/sandpool/internal/proc"
)

// An Executor runs calls in worker processes. New makes one; it must be closed,
// or shut down, to release its processes for sure. One that a [Reusable] hands out
// stands for whichever executor the Reusable has at the moment.
type Executor struct {
	core     *core     // nil in a Reusable's handle
	reusable *Reusable // that this is a handle of; nil for New's
}

// New returns an executor with the given options, nil for the defaults. It
// starts no process unless Options.MinWorkers or Standby ask for it: workers come with
// the first calls. In a program that
// cannot serve as its own worker it returns [ErrNoWorkerHook]; wrong options are
// [*OptionError] values, joined.
func New(opts *Options) (*Executor, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	return newExecutor(o, 1)
}

func newExecutor(o Options, id uint64) (*Executor, error) {
	if proc.Marked() {
		return nil, fmt.Errorf("%w (and this process was itself started as a worker)", ErrNoWorkerHook)
	}
	if o.WorkerPath == "" && !proc.Hooked() {
		return nil, ErrNoWorkerHook
	}
	setup, err := o.setup()
	if err = errors.Join(o.validate(), err); err != nil {
		return nil, err
	}
	e := &Executor{core: newCore(o.withDefaults(), id, setup)}
	// Calls that are not done keep the handle reachable, so nothing is cut off.
	runtime.AddCleanup(e, func(c *core) { c.stop(closed) }, e.core)
	e.core.update(func() {}) // starts the workers that are to be kept
	return e, nil
}

// current returns the executor itself: of a Reusable's handle the one that it
// stands for now, which is started if need be.
func (e *Executor) current() (*Executor, error) {
	if e.reusable == nil {
		return e, nil
	}
	return e.reusable.current()
}

// existing is current without starting anything; it may return nil.
func (e *Executor) existing() *Executor {
	if e.reusable == nil {
		return e
	}
	return e.reusable.existing()
}

// Shutdown refuses new calls with [ErrShutdown], waits until the queued and
// running ones are done and their workers have exited, and returns nil. When ctx
// ends first it returns ctx's cause and leaves the calls going: Close ends them.
// Calls that run may still submit nested ones. It may be called any number of times,
// by several goroutines, and every caller waits. From a host function it would wait for its own caller.
func (e *Executor) Shutdown(ctx context.Context) error {
	x := e.existing()
	if x == nil {
		return nil
	}
	x.core.stop(draining)
	select {
	case <-x.core.finished:
		return nil
	default:
	}
	select {
	case <-x.core.finished:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close ends every call that is not done with [ErrShutdown], kills the workers
// and waits until their processes and all goroutines are gone, but for host
// functions and callbacks, which are not waited for. It returns nil. It
// may be called any number of times, by several goroutines, and every caller
// waits.
func (e *Executor) Close() error {
	if x := e.existing(); x != nil {
		x.core.stop(closed)
		<-x.core.finished
	}
	return nil
}
