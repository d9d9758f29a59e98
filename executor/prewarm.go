package executor

import (
	"context"
	"fmt"
	"math"
	"runtime"

	"github.com/sandpool/sandpool/serialize"
)

// Prewarm starts workers until n have come up, at most as many as Options.Workers
// or Resize allow and that many for 0, and has that many load the modules. It
// returns when they have; a worker that is busy loads when its call is over. When ctx
// ends first, Prewarm returns its cause and the rest goes on. Its errors are those of a call
// that does nothing. Workers that nobody uses are sent home after Options.IdleTimeout as
// always.
func (e *Executor) Prewarm(ctx context.Context, n int, modules ...*serialize.Module) error {
	if n < 0 {
		return &OptionError{"Prewarm", fmt.Sprintf("%d workers", n)}
	}
	x, err := e.current()
	if err != nil {
		return err
	}
	c := x.core
	for _, m := range modules {
		if err := c.preloadable(m); err != nil {
			return err
		}
	}
	defer runtime.KeepAlive(x) // an executor that nobody holds any more is closed
	n, lower := c.askFor(n)
	defer lower()
	workers, err := c.raise(ctx, n)
	if err != nil {
		return err
	}
	return c.preloadAll(ctx, workers, modules)
}

// askFor keeps n workers alive, or as many as there may be, until lower is called.
func (c *core) askFor(n int) (floor int, lower func()) {
	c.update(func() {
		if n == 0 || n > c.fleet.limit {
			n = c.fleet.limit
		}
		c.fleet.floors = append(c.fleet.floors, n)
	})
	return n, func() { c.update(func() { c.fleet.lower(n) }) }
}

// raise waits until n workers are up and returns them.
func (c *core) raise(ctx context.Context, n int) (up []*worker, err error) {
	before := math.MaxInt // failures to start a worker that are of the past
	for {
		var news chan struct{}
		failures := 0
		c.update(func() {
			if c.news == nil {
				c.news = make(chan struct{})
			}
			news, failures = c.news, c.startFailures
			before = min(before, failures)
			if err = c.stateLocked(); err == nil && failures >= maxStartFailures && failures > before {
				err = copyError(c.startErr)
			}
			up = up[:0]
			for w := range c.fleet.all {
				if w.ready && !w.out && !w.standby {
					up = append(up, w)
				}
			}
			n = min(n, c.fleet.limit)
		})
		if err != nil || len(up) >= n {
			return up[:min(n, len(up))], err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (c *core) state() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stateLocked()
}

// stateLocked returns why the executor takes no calls, if it does not.
func (c *core) stateLocked() error {
	switch {
	case c.broken != nil:
		return c.brokenError()
	case c.phase != open:
		return ErrShutdown
	default:
		return nil
	}
}

// preloadAll has workers load modules. A worker that is lost meanwhile is not
// missed: the next one loads what its calls need.
func (c *core) preloadAll(ctx context.Context, workers []*worker, modules []*serialize.Module) error {
	var tasks []*call
	c.update(func() {
		for _, w := range workers {
			for _, m := range modules {
				task := c.preloadOf(m)
				c.preloadLocked(w, task)
				tasks = append(tasks, task)
			}
		}
	})
	for _, task := range tasks {
		select {
		case <-task.done:
			if task.err != nil && task.err != errTaskLost { //nolint:errorlint // the very value that it is ended with
				return task.err
			}
			if err := c.state(); task.err != nil && err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// preloadable reports why a module cannot be loaded at all.
func (c *core) preloadable(m *serialize.Module) error {
	if m == nil {
		return &OptionError{"Prewarm", "a module is nil"}
	}
	return c.preloadOf(m).target.check(&c.opts)
}

// preloadOf returns a task that loads a module.
func (c *core) preloadOf(m *serialize.Module) *call {
	method := c.opts.StartMethod
	cl := newCall(target{module: m, method: method, mode: c.opts.mode(), limits: Limits{}.withDefaults(c.opts.Limits)}, nil)
	cl.core, cl.kind, cl.values = c, callPreload, context.Background()
	cl.target.command = m.Check() != nil && m.CheckCommand() == nil
	return cl
}

// preloadLocked gives a worker a task, to begin as soon as it has nothing else to
// do.
func (c *core) preloadLocked(w *worker, task *call) {
	if w.out {
		c.finishLocked(task, nil, errTaskLost)
		return
	}
	task.pinned = w
	m := c.moduleLocked(task.target.module, task.target.mode)
	m.users++
	task.module = m
	c.enqueueLocked(task, false)
}

// giveTaskLocked hands a task over whose module is there.
func (c *core) giveTaskLocked(task *call) {
	w := task.pinned
	if w.out {
		c.finishLocked(task, nil, errTaskLost)
		return
	}
	task.readies = c.readiesLocked(task)
	w.tasks.push(task)
	f := &c.fleet
	if idle := len(f.idle) + len(f.standbys); !w.ready || len(w.held) > 0 || idle == 0 {
		return // it begins the task when it comes to rest
	}
	before := len(f.idle) + len(f.standbys)
	f.idle, f.standbys = without(f.idle, w), without(f.standbys, w)
	if len(f.idle)+len(f.standbys) < before {
		c.beginTaskLocked(w)
	}
}

// beginTaskLocked gives a worker that rests its next task.
func (c *core) beginTaskLocked(w *worker) {
	task := w.tasks.pop()
	task.state, task.worker = Running, w
	task.module.users++
	w.held = append(w.held, task)
	w.poke()
}

// dropTasksLocked ends the tasks of a worker that is out.
func (c *core) dropTasksLocked(w *worker) {
	for w.tasks.len() > 0 {
		c.finishLocked(w.tasks.front(), nil, errTaskLost)
	}
}
