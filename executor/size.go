package executor

import (
	"fmt"
	"time"
)

// Resize sets how many workers serve calls at a time, as Options.Workers does for a
// new executor. More workers are started as calls need them; workers that are too many
// are sent home as soon as they have no call. Resize does not wait for that, and no call is
// lost. It returns an [*OptionError] for a number that Options.Workers could not be, and
// [ErrShutdown] after Shutdown or Close.
func (e *Executor) Resize(n int) error {
	if n < 1 || n > maxWorkers {
		return &OptionError{"Resize", fmt.Sprintf("%d is not between 1 and %d", n, maxWorkers)}
	}
	for {
		x, err := e.current()
		if err != nil {
			return err
		}
		if err = x.core.resize(n); err == nil || e.reusable == nil {
			return err
		} // else it was replaced at this very moment
	}
}

func (c *core) resize(n int) (err error) {
	c.update(func() {
		switch {
		case c.broken != nil:
			err = c.brokenError()
		case c.phase != open:
			err = ErrShutdown
		default:
			c.fleet.limit, c.fleet.parkedPeak = n, c.fleet.parked
			c.tellLocked() // a Prewarm may have what it waits for
		}
	})
	return err
}

// sizeLocked starts the workers that queued calls could use and that are to be
// kept, and sends those home that are too many or idle for too long.
func (c *core) sizeLocked() {
	f := &c.fleet
	for f.surplus() > 0 && len(f.idle) > 0 {
		c.retireLocked(f.idle[0])
	}
	c.retireLongIdleLocked()
	c.stockLocked()
	demand := c.demandLocked()
	wantAlive := demand - (f.starting - c.spareStartingLocked())
	if wantAlive > f.room() && (c.startFailures == 0 || f.room() <= 0) {
		// Idle workers of other tenants make room.
		n := wantAlive - max(0, f.room())
		if c.startFailures > 0 {
			n = 1 // only to have a place to try
		}
		for ; n > 0 && len(f.idle) > 0; n-- {
			c.retireLocked(f.idle[0])
		}
	}
	wantAlive = min(wantAlive, f.room())
	if c.phase == open {
		wantAlive = max(wantAlive, min(max(c.opts.MinWorkers, f.floor()), f.limit)-f.alive)
	}
	wantSpare := 0
	if c.phase == open {
		wantSpare = c.opts.Standby - f.spares
	}
	if wantSpare > 0 && wantAlive <= 0 && c.nowLocked().Before(f.spareFrom) {
		wantSpare = 0
		c.wakeLocked(f.spareFrom)
	}
	c.startManyLocked(wantAlive, wantSpare)
}

// demandLocked is how many more workers the queue could use.
func (c *core) demandLocked() int {
	f, q := &c.fleet, &c.queue
	if q.size == 0 {
		return 0
	}
	most, n := f.limit-f.busy, 0
	for i, l := range q.nested {
		n += max(0, min(l.len(), f.limit-f.levels[i+2]))
	}
	roots := 0
	for _, t := range q.turns {
		if room := f.limit - f.levels[1]; roots >= min(room, most) {
			break
		}
		calls := 0
		for _, l := range t.levels {
			calls += l.len()
		}
		for cl := range c.bundles {
			if cl.ready && cl.tenant == t {
				calls += cl.weight() - 1
			}
		}
		if q.most > 0 {
			calls = min(calls, q.most-t.workers)
		}
		roots += calls
	}
	return min(most, n+max(0, min(roots, f.limit-f.levels[1])))
}

// spareStartingLocked is how many standbys have not come up.
func (c *core) spareStartingLocked() int {
	n := 0
	if c.fleet.spares > len(c.fleet.standbys) {
		for w := range c.fleet.all {
			if w.standby && !w.ready && !w.out {
				n++
			}
		}
	}
	return n
}

// startManyLocked starts workers, or sees to it that it is tried again.
func (c *core) startManyLocked(alive, spare int) {
	if c.startFailures > 0 { // one tries, the others wait for its luck
		if c.fleet.starting > 0 {
			return
		}
		alive = min(alive, 1)
		spare = min(spare, 1-max(0, alive))
	}
	if alive <= 0 && spare <= 0 {
		return
	}
	if time.Until(c.notBefore) > 0 {
		c.wakeLocked(c.notBefore)
		return
	}
	for _, dirs := range c.nextDirsLocked(max(alive, 0)) {
		c.startLocked(false, dirs)
	}
	for range spare {
		c.startLocked(true, "")
	}
}

// startFailedLocked notes that a worker did not come up.
func (c *core) startFailedLocked(err error) {
	c.startFailures++
	c.startErr, c.failedAt = err, time.Now()
	c.notBefore = time.Now().Add(min(startBackoff<<min(c.startFailures-1, 16), maxBackoff))
	c.tellLocked()
	if c.startFailures < maxStartFailures {
		return
	}
	for _, cl := range c.queue.ready() {
		if !c.awaitsLocked(cl) {
			c.finishLocked(cl, nil, copyError(err))
		}
	}
}

// startProvenLocked ends the count of failures when a worker serves that has come
// up after the last.
func (c *core) startProvenLocked(w *worker) {
	if c.startFailures > 0 && w.born.After(c.failedAt) {
		c.startFailures, c.startErr, c.notBefore = 0, nil, time.Time{}
	}
}

// awaitsLocked reports whether there is a worker that a queued call may wait for.
func (c *core) awaitsLocked(cl *call) bool {
	for w := range c.fleet.all {
		if cl.depth > 1 && w.parked {
			continue // perhaps by this very call
		}
		if w.ready && !w.out && w.dirs == cl.target.world.dirs && (!w.bound || !c.isolates() || w.domain == cl.target.tenant) {
			return true
		}
	}
	return false
}

// retireLongIdleLocked sends home workers that nobody has needed for a while.
func (c *core) retireLongIdleLocked() {
	f := &c.fleet
	if c.opts.IdleTimeout == 0 || c.phase != open {
		return
	}
	now := c.nowLocked()
	for len(f.idle) > 0 && f.alive > max(c.opts.MinWorkers, f.floor()) {
		w := f.idle[0]
		for _, o := range f.idle { // in order but for those that were passed over
			if o.idleSince.Before(w.idleSince) {
				w = o
			}
		}
		if end := w.idleSince.Add(c.opts.IdleTimeout); now.Before(end) {
			c.wakeLocked(end)
			return
		}
		c.retireLocked(w)
		f.parkedPeak = f.parked
	}
}

// wornLocked reports whether a worker has served for long enough. One that has
// served no call has not, whatever its age: else none ever might.
func (c *core) wornLocked(w *worker) bool {
	o := &c.opts
	return w.heavy || o.CallsPerWorker > 0 && w.calls >= o.CallsPerWorker ||
		o.WorkerAge > 0 && w.calls > 0 && c.nowLocked().Sub(w.born) >= o.WorkerAge
}
