package executor

import (
	"slices"
	"time"
)

// A fleet is an executor's workers and their places. It belongs to core.mu.
//
// A worker is in service from its start until it is out: condemned, retired or
// lost. In service it is a standby, or one of alive; of these it is starting, idle,
// or serves a call, and is then busy or parked.
type fleet struct {
	all      map[*worker]struct{} // every worker whose goroutine has not ended
	idle     []*worker            // the most recently used last
	standbys []*worker            // that have come up and are not loading anything
	limit    int                  // Options.Workers, as resized
	floors   []int                // how many workers each Prewarm under way asks for

	lastNum    int // of workers
	alive      int
	starting   int
	spares     int       // standbys, starting or not
	spareFrom  time.Time // before which none is started
	busy       int
	parked     int
	parkedPeak int         // the most parked since idle workers were last retired
	levels     map[int]int // workers that serve a call of a depth, parked or not
}

func newFleet(limit int) fleet {
	return fleet{all: make(map[*worker]struct{}), levels: make(map[int]int), limit: limit}
}

// floor is how many workers Prewarm asks for.
func (f *fleet) floor() int {
	most := 0
	for _, n := range f.floors {
		most = max(most, n)
	}
	return most
}

// lower ends a Prewarm's wish for n workers.
func (f *fleet) lower(n int) {
	i := slices.Index(f.floors, n)
	f.floors = slices.Delete(f.floors, i, i+1)
}

// room is how many more workers may be alive.
func (f *fleet) room() int { return f.limit + f.parked - f.alive }

// surplus is how many workers are alive that should not be. Those that parked ones
// have made room for are kept for a while.
func (f *fleet) surplus() int { return f.alive - f.limit - f.parkedPeak }

// startLocked starts a worker with directories, or a spare one.
func (c *core) startLocked(standby bool, dirs string) {
	f := &c.fleet
	f.lastNum++
	w := &worker{core: c, number: f.lastNum, standby: standby, dirs: dirs, wake: make(chan struct{}, 1), room: make([]*call, 0, defaultBatch+1)}
	f.all[w] = struct{}{}
	f.starting++
	if standby {
		f.spares++
	} else {
		f.alive++
	}
	c.wg.Go(w.run) // exits when its process is gone; Close kills that
}

// readyLocked takes a worker that has come up into service.
func (c *core) readyLocked(w *worker) {
	now := time.Now()
	w.process, w.pid = w.conn.p, w.conn.p.PID
	w.born, w.nextCheck = now, now.Add(c.opts.GrowthCheck)
	c.serving[w.process] = struct{}{}
	c.stats.WorkersStarted++
	c.stats.Sandbox, c.stats.SandboxMissing = w.conn.ready.InForce, w.conn.ready.Missing
	c.tellLocked()
	if w.out {
		w.ready = true
		w.process.Kill()
		return
	}
	w.ready = true
	c.fleet.starting--
	c.restLocked(w)
}

// restLocked gives a worker without a call something to load, sends it home, or
// lets it wait.
func (c *core) restLocked(w *worker) {
	f := &c.fleet
	w.idleSince = c.nowLocked()
	switch {
	case w.tasks.len() > 0:
		c.beginTaskLocked(w)
	case w.standby && !c.takenLocked(w):
		f.standbys = append(f.standbys, w)
	case w.standby:
		c.retireLocked(w)
	case f.surplus() > 0 || c.wornLocked(w):
		c.retireLocked(w)
	default:
		f.idle = append(f.idle, w)
	}
}

// spareAfter is how long a standby that has taken over is left alone with the processors
// before the next one is started: that takes several milliseconds of them, and nobody waits
// for it.
const spareAfter = 20 * time.Millisecond

// promoteLocked makes a standby one of alive.
func (c *core) promoteLocked(w *worker) {
	c.fleet.spareFrom = c.nowLocked().Add(spareAfter)
	w.standby = false
	c.fleet.spares--
	c.fleet.alive++
}

// outLocked takes a worker out of service: it gets no call any more and its place
// is free. What it holds stays with it.
func (c *core) outLocked(w *worker) {
	if w.out {
		return
	}
	w.out = true
	f := &c.fleet
	if !w.ready {
		f.starting--
	}
	if w.standby {
		f.spares--
		f.standbys = without(f.standbys, w)
	} else {
		f.alive--
		f.idle = without(f.idle, w)
	}
	c.stopServingLocked(w)
}

func without(list []*worker, w *worker) []*worker {
	if i := slices.Index(list, w); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}

// serveLocked counts a worker as serving a call.
func (c *core) serveLocked(w *worker, cl *call) {
	w.serving, w.depth = cl.tenant, cl.depth
	c.fleet.busy++
	c.fleet.levels[cl.depth]++
	c.queue.serve(cl.tenant, 1)
}

// stopServingLocked counts a worker as serving nothing.
func (c *core) stopServingLocked(w *worker) {
	if w.serving == nil {
		return
	}
	f := &c.fleet
	if w.parked {
		w.parked = false
		f.parked--
	} else {
		f.busy--
		c.queue.serve(w.serving, -1)
	}
	if f.levels[w.depth]--; f.levels[w.depth] == 0 {
		delete(f.levels, w.depth)
	}
	w.serving = nil
}

// parkLocked takes a worker's place away, or gives it back, as its call's state
// asks for.
func (c *core) parkLocked(w *worker) {
	parked := w.inHost && w.serving != nil && len(w.held) > 0 && w.held[0].nested > 0
	if parked == w.parked {
		return
	}
	w.parked = parked
	n := 1
	if parked {
		n = -1
	}
	f := &c.fleet
	f.busy += n
	f.parked -= n
	f.parkedPeak = max(f.parkedPeak, f.parked)
	c.queue.serve(w.serving, n)
}

// condemnLocked kills a worker. What it has not begun goes to others.
func (c *core) condemnLocked(w *worker) {
	c.outLocked(w)
	w.condemned = true
	if w.process != nil {
		w.process.Kill()
	}
	w.poke() // who sleeps in its owner's place need not wait until the process has ended
	c.giveBackLocked(w)
}

// retireLocked sends a worker home that holds nothing.
func (c *core) retireLocked(w *worker) {
	c.outLocked(w)
	w.retired = true
	w.poke()
}

// retireAllIdleLocked sends home every worker that holds nothing.
func (c *core) retireAllIdleLocked() {
	f := &c.fleet
	for len(f.idle) > 0 {
		c.retireLocked(f.idle[len(f.idle)-1])
	}
	for len(f.standbys) > 0 {
		c.retireLocked(f.standbys[len(f.standbys)-1])
	}
}
