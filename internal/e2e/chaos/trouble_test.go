package chaos_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sandpool/sandpool/executor"
)

// trouble does something to the executor, now and then.
func (c *caller) trouble() {
	switch {
	case c.chance(50):
		c.kill()
	case c.chance(50):
		c.resize()
	case c.chance(20):
		if len(c.flying) > 0 {
			c.stop(c.flying[c.rng.IntN(len(c.flying))])
			c.count(c.troubles, "cancel")
		}
	case c.chance(300):
		c.replace()
	case c.chance(500):
		c.shutdown()
	}
}

// kill kills a worker: one that runs a call of this caller, or else one that has
// answered not long ago.
func (c *caller) kill() {
	for _, cl := range c.flying {
		if cl.future.State() == executor.Running {
			c.seen(cl.future.Usage().PID)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, pid := range slices.Backward(c.recent) {
		if c.killLocked(pid) {
			c.troubles["kill"]++
			return
		}
	}
}

// killLocked kills a process if it is a worker that is there and has not been killed.
func (s *storm) killLocked(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer p.Release()
	// Only now: the number may be another's.
	if s.killed[pid] || !isChild(pid) || p.Kill() != nil {
		return false
	}
	s.killed[pid] = true
	return true
}

// isChild reports whether a process is a child of this one, where that can be
// told.
func isChild(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		_, err = os.Stat("/proc/self/stat")
		return err != nil
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	return len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid())
}

// wasKilled reports whether the test has killed a process of that number.
func (s *storm) wasKilled(pid int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.killed[pid]
}

func (c *caller) resize() {
	if err := c.ex.Resize(1 + c.rng.IntN(5)); err != nil && !errors.Is(err, executor.ErrShutdown) && !errors.Is(err, executor.ErrBroken) {
		c.wrong("Resize returns %v", err)
	}
	c.count(c.troubles, "resize")
}

// replace has the pool change to other options, or to equal ones.
func (c *caller) replace() {
	o := c.variants[c.rng.IntN(len(c.variants))]
	o.Workers = 1 + c.rng.IntN(4)
	o.Replace = []executor.Replacement{executor.Drain, executor.Kill}[c.rng.IntN(2)]
	if _, err := c.pool.Get(context.Background(), &o); err != nil {
		c.wrong("Get returns %v", err)
	}
	c.count(c.troubles, "replace")
}

// shutdown ends the executor in one of the ways there are.
func (c *caller) shutdown() {
	var err error
	name := "close"
	switch c.rng.IntN(4) {
	case 0:
		err = c.ex.Close()
	case 1:
		name = "close the pool"
		err = c.pool.Close()
	default:
		name = "shutdown"
		little := time.Duration(c.rng.Int64N(int64(20 * time.Millisecond)))
		ctx, cancel := context.WithTimeoutCause(context.Background(), little, errLate)
		defer cancel()
		if err = c.ex.Shutdown(ctx); errors.Is(err, errLate) {
			err = nil
		}
	}
	if err != nil {
		c.wrong("%s returns %v", name, err)
	}
	c.count(c.troubles, name)
}
