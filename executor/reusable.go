package executor

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"weak"
)

// A Reusable is an executor that is started when it is needed, kept as long as
// the options stay the same, and replaced when they change or when it has been shut
// down or is broken: loky's get_reusable_executor, owned by whoever declares it. Its
// zero value is ready; it must not be copied. All methods are safe for concurrent use,
// and none waits for calls but Close.
type Reusable struct {
	mu   sync.Mutex // guards the fields below; held while an executor is made, never while one ends
	now  *Executor  // nil before the first Get
	opts Options    // that now was made with
	old  []*Executor
	id   uint64 // of now
}

// shared is the executor of Shared: the one piece of state that belongs to the
// process, as loky's does.
var shared Reusable

// Shared is Get of one Reusable that the whole process shares.
func Shared(opts *Options) (*Executor, error) {
	return shared.Get(context.Background(), opts)
}

// Get returns a handle of the executor that r has, after making it what opts ask
// for:
//
//   - nil keeps the one there is; a first one gets the default options, one that was
//     shut down or is broken is started again with its own;
//   - equal options keep it, and if only Workers differs it is resized as by
//     [Executor.Resize];
//   - other options start another, and the old one drains in the background or is killed, as
//     opts.Replace says.
//
// Options are equal when their data is: Env and TrustedKeys entry by entry, Initializer as encoded,
// Host, Logger and GuestLog as pointers. IdleTimeout is ten seconds by default. When the
// options are wrong the error is New's and r stays as it is. Get starts no process
// that New would not start. It fails with ctx's cause if ctx has ended.
//
// A handle never goes stale: each Submit, Map and so on goes to the executor that r
// has at that moment, and starts it again, with the options it had, if it was shut
// down or is broken. Its Shutdown and Close end the present executor, not r.
func (r *Reusable) Get(ctx context.Context, opts *Options) (*Executor, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.arrangeLocked(opts); err != nil {
		return nil, err
	}
	return &Executor{reusable: r}, nil
}

// arrangeLocked makes now what opts ask for.
func (r *Reusable) arrangeLocked(opts *Options) error {
	usable := r.now != nil && r.now.core.usable()
	if opts == nil {
		if usable {
			return nil
		}
		return r.startLocked(r.opts, Drain)
	}
	o := *opts
	if !usable {
		return r.startLocked(o, o.Replace)
	}
	setup, err := o.setup()
	if err = errors.Join(o.validate(), err); err != nil {
		return err
	}
	if !o.equal(r.opts, setup, r.now.core.setup) {
		return r.startLocked(o, o.Replace)
	}
	r.opts.Workers = o.Workers
	err = r.now.core.resize(cmp.Or(o.Workers, CPUCount()))
	if errors.Is(err, ErrShutdown) || errors.Is(err, ErrBroken) {
		return r.startLocked(o, o.Replace) // at this very moment
	}
	return err
}

// startLocked makes a new executor the present one and retires the old one as how
// says.
func (r *Reusable) startLocked(o Options, how Replacement) error {
	start := o
	start.IdleTimeout = cmp.Or(o.IdleTimeout, defaultReusedIdle)
	x, err := newExecutor(start, r.id+1)
	if err != nil {
		return err
	}
	x.core.reusable = weak.Make(r)
	old := r.now
	o.Env = slices.Clone(o.Env)
	o.TrustedKeys = cloneKeys(o.TrustedKeys)
	r.now, r.opts = x, o
	r.id++
	r.old = slices.DeleteFunc(r.old, func(x *Executor) bool { return closedAlready(x.core.finished) })
	if old == nil {
		return nil
	}
	if how == Kill {
		old.core.stop(closed)
	} else {
		old.core.stop(draining)
	}
	r.old = append(r.old, old)
	return nil
}

// current returns the present executor, started again if it is of no more use.
func (r *Reusable) current() (*Executor, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.arrangeLocked(nil)
	return r.now, err
}

// currentFor is current for a call in ctx: one that is nested in a call of the same
// Reusable belongs to its caller's executor, even while that drains.
func (e *Executor) currentFor(ctx context.Context) (*Executor, error) {
	if e.reusable != nil {
		parent, ok := ctx.Value(nestKey{}).(*call)
		if ok && parent.core.reusable == weak.Make(e.reusable) {
			if x := parent.caller(); x != nil {
				return x, nil
			}
		}
	}
	return e.current()
}

// caller returns the executor of a call that is not done, or nil.
func (cl *call) caller() *Executor {
	defer cl.lock()()
	return cl.owner
}

// existing returns the present executor as it is, or nil.
func (r *Reusable) existing() *Executor {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// Close closes the present executor and those that still drain, as
// [Executor.Close] does, and returns nil. A later Get starts another.
func (r *Reusable) Close() error {
	r.mu.Lock()
	all := slices.Clone(r.old)
	if r.now != nil {
		all = append(all, r.now)
	}
	r.mu.Unlock()
	for _, x := range all {
		x.core.stop(closed)
	}
	for _, x := range all {
		<-x.core.finished
	}
	return nil
}

// usable reports whether the executor takes calls.
func (c *core) usable() bool { return c.state() == nil }

// equal reports whether executors with these options would be the same but for
// their size.
func (o Options) equal(p Options, oSetup, pSetup setup) bool {
	if !slices.Equal(o.Env, p.Env) || !equalKeys(o.TrustedKeys, p.TrustedKeys) || !oSetup.equal(pSetup) {
		return false
	}
	a, b := reflect.ValueOf(o), reflect.ValueOf(p)
	for i := range a.NumField() {
		switch a.Type().Field(i).Name {
		case "Env", "TrustedKeys", "Initializer", "WarmUp", "Workers", "Replace":
			continue
		}
		if !a.Field(i).Equal(b.Field(i)) {
			return false
		}
	}
	return true
}
