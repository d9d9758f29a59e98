package executor

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/sandpool/sandpool/serialize"
)

const (
	// swapPatience is how long Swap waits for workers to load a module that they could
	// load at once, were they not busy with calls.
	swapPatience = time.Second
	// maxRetired is how many modules that were swapped out are kept, so that it is quick
	// to go back to one.
	maxRetired = 4
)

var errSwapPatience = errors.New("executor: workers are busy")

// Swap makes a module ready and then points the handle at it: the module is compiled,
// asked for the functions it registers, which have to include those named and
// Options.Initializer, and loaded by the workers there are. A worker that is busy for
// more than a second is not waited for and loads when its call is over. From when Swap
// returns nil, every Submit through the handle calls the new module; calls that were
// submitted before keep the one they had, and none fails because of the change.
//
// Only this executor is made ready: in another that calls through the handle, the first
// calls wait for that. Whether Options.Initializer goes well in the module is not tried.
//
// When the module is refused or lacks a function, with a *serialize.ModuleError, or ctx
// ends first, with its cause, or the executor takes no calls, the handle points where it did. Of
// several Swaps of one handle at a time, the last to return decides. A module that was
// swapped out is forgotten when several others have been since and it has no call left:
// its memory is freed here, and in each worker when that next loads something.
func Swap(ctx context.Context, e *Executor, h *serialize.Handle, m *serialize.Module, functions ...string) error {
	if h == nil {
		return &OptionError{"Swap", "the handle is nil"}
	}
	if m == nil {
		return &OptionError{"Swap", "the module is nil"}
	}
	x, err := e.current()
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(x) // an executor that nobody holds any more is closed
	c := x.core
	d, err := describe(ctx, x, m, math.MaxInt)
	if err != nil {
		return err
	}
	if name := c.setup.init.name; name != "" {
		functions = append(slices.Clone(functions), name)
	}
	if err := d.registers(m, functions); err != nil {
		return err
	}
	if err := c.preloadThere(ctx, m); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if old := h.Set(m); old != nil {
		c.update(func() { c.retireModuleLocked(old, m) })
	}
	return nil
}

// registers reports which function a module lacks.
func (d Description) registers(m *serialize.Module, functions []string) error {
	for _, name := range functions {
		if !slices.ContainsFunc(d.Functions, func(f Function) bool { return f.Name == name }) {
			return &serialize.ModuleError{
				Kind: serialize.MissingExport, Module: m.Name(), Name: name, Reason: "the module registers no function of that name",
			}
		}
	}
	return nil
}

// preloadThere has the workers that are up load a module, and waits for those that
// are not busy for long.
func (c *core) preloadThere(ctx context.Context, m *serialize.Module) error {
	var up []*worker
	c.update(func() {
		for w := range c.fleet.all {
			if w.ready && !w.out {
				up = append(up, w)
			}
		}
	})
	patient, cancel := context.WithTimeoutCause(ctx, swapPatience, errSwapPatience)
	defer cancel()
	if err := c.preloadAll(patient, up, []*serialize.Module{m}); err != nil && !errors.Is(err, errSwapPatience) {
		return err
	}
	return c.state()
}

// retireModuleLocked notes that a handle was pointed away from a module to another, and
// drops the modules that this has happened to longest ago and that have not been used
// since. They come back when they are called.
func (c *core) retireModuleLocked(from, to *serialize.Module) {
	if to.Sum() == from.Sum() {
		return
	}
	for key, m := range c.modules { // whatever code its calls run
		switch key.sum {
		case to.Sum():
			m.retired = false
		case from.Sum():
			m.retired = true
		}
	}
	now, old := c.modules[moduleKey{to.Sum(), c.opts.mode()}], c.modules[moduleKey{from.Sum(), c.opts.mode()}]
	if now != nil && old != nil && c.hottest == old { // standbys are to have the module that is called from now on
		now.calls = max(now.calls, old.calls)
		c.hottest = now
	}
	for {
		kept := 0
		var oldest *module
		for _, m := range c.modules {
			if !m.retired {
				continue
			}
			kept++
			if m.users == 0 && m.state != compiling && (oldest == nil || m.lastUse < oldest.lastUse) {
				oldest = m
			}
		}
		if kept <= maxRetired || oldest == nil {
			return
		}
		c.dropModuleLocked(oldest)
	}
}
