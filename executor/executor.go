package executor

import (
	"context"
	"fmt"
	"runtime"

	"github.com/sandpool/sandpool/internal/proc"
)

// An Executor runs calls in worker processes. New makes one; it must be closed,
// or shut down, to release its processes for sure.
type Executor struct {
	core *core
}

// New returns an executor with the given options, nil for the defaults. It
// starts no process: workers come with the first calls. In a program that
// cannot serve as its own worker it returns [ErrNoWorkerHook]; wrong options are
// [*OptionError] values, joined.
func New(opts *Options) (*Executor, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if proc.Marked() {
		return nil, fmt.Errorf("%w (and this process was itself started as a worker)", ErrNoWorkerHook)
	}
	if o.WorkerPath == "" && !proc.Hooked() {
		return nil, ErrNoWorkerHook
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	e := &Executor{core: newCore(o)}
	// Calls that are not done keep the handle reachable, so nothing is cut off.
	runtime.AddCleanup(e, func(c *core) { c.stop(closed) }, e.core)
	return e, nil
}

// Shutdown refuses new calls with [ErrShutdown], waits until the queued and
// running ones are done and their workers have exited, and returns nil. When ctx
// ends first it returns ctx's cause and leaves the calls going: Close ends them.
// It may be called any number of times, by several goroutines, and every caller
// waits.
func (e *Executor) Shutdown(ctx context.Context) error {
	e.core.stop(draining)
	select {
	case <-e.core.finished:
		return nil
	default:
	}
	select {
	case <-e.core.finished:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close ends every call that is not done with [ErrShutdown], kills the workers
// and waits until their processes and all goroutines are gone. It returns nil. It
// may be called any number of times, by several goroutines, and every caller
// waits.
func (e *Executor) Close() error {
	e.core.stop(closed)
	<-e.core.finished
	return nil
}
