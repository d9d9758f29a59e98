package executor

import (
	"fmt"
)

// stop moves to phase p: draining refuses new calls, closed ends all others.
func (c *core) stop(p phase) {
	c.update(func() {
		if p <= c.phase {
			return
		}
		c.phase = p
		c.tellLocked()
		if p == closed {
			c.endAllLocked(func() error { return ErrShutdown })
			return
		}
		for cl := range c.bundles {
			c.sealLocked(cl) // what is added from now on comes too late
		}
		for t := range c.blocked {
			for t.blocked.len() > 0 {
				c.refuseCallLocked(t.blocked.front(), ErrShutdown)
			}
		}
	})
	c.startFinish()
}

// startFinish starts what releases the executor. It has no owner that waits for
// it by itself: Shutdown and Close wait for what it closes. It exits when nothing is
// left.
func (c *core) startFinish() { c.finisher.Do(func() { go c.finish() }) }

// breakLocked ends the executor because of err: every call fails with it, those
// that come as well.
func (c *core) breakLocked(err error) {
	if c.broken != nil || c.phase == closed {
		return
	}
	c.broken, c.phase = err, closed
	c.endAllLocked(c.brokenError)
	c.after = append(c.after, func() {
		c.log.Error("executor broken", "reason", err)
		c.startFinish()
		c.update(func() {})
	})
}

// brokenError returns the reason as an error value of its own.
func (c *core) brokenError() error { return fmt.Errorf("%w: %w", ErrBroken, c.broken) }

// endAllLocked ends every call with what reason returns, and kills every process.
func (c *core) endAllLocked(reason func() error) {
	for w := range c.fleet.all {
		c.outLocked(w)
		w.condemned = true
		w.poke()
	}
	for _, cl := range c.callsLocked() {
		c.finishLocked(cl, nil, reason())
	}
	for p := range c.procs {
		p.Kill()
	}
	c.tellLocked()
}

// callsLocked lists the calls that are not done.
func (c *core) callsLocked() []*call {
	calls := c.over.appendTo(c.queue.ready())
	for t := range c.blocked {
		calls = t.blocked.appendTo(calls)
	}
	for _, m := range c.modules {
		calls = m.waiting.appendTo(calls)
		for _, img := range m.images {
			calls = img.waiting.appendTo(calls)
		}
	}
	for w := range c.fleet.all {
		calls = w.tasks.appendTo(calls)
		calls = append(calls, w.held...)
	}
	return calls
}

// finish releases everything once the executor has drained.
func (c *core) finish() {
	<-c.drained
	c.wg.Wait()
	c.launcher.Close()
	c.mu.Lock()
	for _, m := range c.modules {
		m.close()
	}
	clear(c.modules)
	c.moduleBytes = 0
	for s := range c.snapshots {
		_ = s.bytes.Close()
	}
	clear(c.snapshots)
	c.hottest = nil
	c.mu.Unlock()
	close(c.finished)
}
