package executor

import (
	"slices"
	"time"

	"github.com/sandpool/sandpool/internal/wire"
)

// Bounds of what a worker is handed ahead of its turn.
const (
	aheadTime  = time.Millisecond     // of work, by the pace of the function's last calls
	aheadBytes = 32 << 10             // unread in the pipe, headers included
	stallAfter = 5 * time.Millisecond // a call that takes longer gives back those behind it
)

// tenure is how long a tenant keeps a worker for itself while another one waits
// for its turn: to start a process for every call would cost all of them more.
const tenure = 100 * time.Millisecond

// skipAtMost bounds how many tenants are passed over for want of a worker of their
// own in one go.
const skipAtMost = 16

// dispatchLocked gives queued calls to workers that wait: nested ones first, the
// deepest of all, then those of tenants in turn.
func (c *core) dispatchLocked() {
	f, q := &c.fleet, &c.queue
	missing := 0 // workers that nested calls wait for: their places are not for others
	for i, l := range slices.Backward(q.nested) {
		for l.len() > 0 && f.busy+missing < f.limit && f.levels[i+2] < f.limit {
			if !c.placeLocked(l.front()) {
				missing++
				break
			}
		}
	}
	var skipped []*tenant
	for len(q.turns) > 0 && f.busy+missing < f.limit && f.levels[1] < f.limit && len(f.idle)+len(f.standbys) > 0 {
		t := q.turns[0]
		if c.placeLocked(t.next()) {
			continue
		}
		// Its workers would have to be others than those that wait.
		if len(skipped) >= f.starting-c.spareStartingLocked()+max(0, f.room()) && c.makeWayLocked() && c.placeLocked(t.next()) {
			continue
		}
		t.passed = true
		q.fix(t)
		if skipped = append(skipped, t); len(skipped) == skipAtMost {
			break
		}
	}
	for _, t := range skipped {
		t.passed = false
		q.fix(t)
	}
}

// makeWayLocked sends a worker home that waits and has been another tenant's for
// long enough, so that one can be started for the tenant whose turn it is, and reports
// whether there was one.
func (c *core) makeWayLocked() bool {
	if c.startFailures > 0 {
		return false // sizeLocked sees to it that there is a place to try
	}
	for _, w := range c.fleet.idle {
		if w.bound && c.nowLocked().Sub(w.boundAt) >= tenure {
			c.retireLocked(w)
			return true
		}
	}
	return false
}

// overLocked takes a call out of the queue whose context has ended, and reports
// whether it did. Where many calls have the same context, the end of the first makes
// room for others before they have heard of it.
func (c *core) overLocked(cl *call) bool {
	select {
	case <-cl.ended:
	default:
		return false
	}
	c.unlistLocked(cl)
	c.over.push(cl)
	c.after = append(c.after, cl.expire) // a context is the user's code
	return true
}

// placeLocked gives a call to a worker that waits, if one of them may have it, or
// sees that it wants none any more.
func (c *core) placeLocked(cl *call) bool {
	if c.overLocked(cl) {
		return true
	}
	f := &c.fleet
	if i := c.choose(f.idle, cl); i >= 0 {
		w := f.idle[i]
		f.idle = append(f.idle[:i], f.idle[i+1:]...)
		c.assignLocked(w, cl)
		return true
	}
	if f.room() <= 0 {
		return false
	}
	if i := c.choose(f.standbys, cl); i >= 0 {
		w := f.standbys[i]
		f.standbys = append(f.standbys[:i], f.standbys[i+1:]...)
		c.promoteLocked(w)
		c.assignLocked(w, cl)
		return true
	}
	return false
}

// choose returns the place of the worker in list that suits a call best: one that
// has the module, and of these the last; -1 if none may have it.
func (c *core) choose(list []*worker, cl *call) int {
	best := -1
	for i, w := range slices.Backward(list) {
		if w.dirs != cl.target.world.dirs {
			continue
		}
		if w.bound && c.isolates() && w.domain != cl.target.tenant {
			continue
		}
		if _, ok := w.modules[cl.module.source.Sum()]; ok {
			return i
		}
		// A worker that has served nobody yet is left to others while there is one of
		// the tenant's own.
		if best < 0 || !list[best].bound && w.bound {
			best = i
		}
	}
	return best
}

// isolates reports whether tenants have workers of their own.
func (c *core) isolates() bool { return c.opts.IsolateTenants != Off }

// assignLocked gives an idle worker its next call, which it takes out of the queue: of a
// call with items, some.
func (c *core) assignLocked(w *worker, cl *call) {
	f := &c.fleet
	most := c.shareLocked(w, cl, f.busy+len(f.idle)+1)
	cl = c.takeLocked(cl, most, aheadBytes/2)
	if !w.bound {
		w.domain, w.bound, w.boundAt = cl.target.tenant, true, c.nowLocked()
	}
	if len(w.held) == 0 {
		w.held = append(w.room[:0], cl)
		w.room = w.held
	} else {
		w.held = append(w.held, cl)
	}
	cl.worker = w
	cl.module.users++ // the worker's own hold, until it lets go
	c.serveLocked(w, cl)
	c.beginLocked(w)
	c.feedLocked(w)
	if cl.weight() > 1 {
		c.wakeLocked(w.began.Add(stallAfter))
	}
	if !c.lendLocked(w, cl) {
		w.poke()
	}
}

// beginLocked notes that the first call a worker holds is running.
func (c *core) beginLocked(w *worker) {
	cl := w.held[0]
	w.began = c.nowLocked()
	if cl.seq == 0 || cl.seq > w.deadSeq {
		w.deadBytes = 0 // the worker has read past them, or is reading
	}
	if cl.state == Done {
		return
	}
	c.leaveQueueLocked(cl)
	cl.state = Running
	if cl.items != nil {
		cl.items.began = w.began
	}
	cl.usage.Queue = w.began.Sub(cl.submitted)
	cl.usage.Worker, cl.usage.PID = w.number, w.pid
	cl.usage.Attempts++
}

// feedLocked notes that a worker may be handed more calls in this transition.
func (c *core) feedLocked(w *worker) {
	if c.opts.Batch > 0 {
		c.fed = append(c.fed, w)
	}
}

// topUpLocked hands calls to workers ahead of their turn where the queue's next
// calls are of the function the worker runs and short, and nobody is free for them.
func (c *core) topUpLocked() {
	for i, w := range c.fed {
		c.fed[i] = nil
		if c.queue.size > 0 && len(c.fleet.idle) == 0 && len(w.held) > 0 && !w.out && !w.revoking && w.depth == 1 && !c.wornLocked(w) {
			c.handAheadLocked(w)
		}
	}
	c.fed = c.fed[:0]
}

func (c *core) handAheadLocked(w *worker) {
	head := w.held[0]
	most := c.shareLocked(w, head, max(1, c.fleet.busy))
	if n := c.opts.CallsPerWorker; n > 0 {
		most = min(most, n-w.calls-head.weight())
	}
	bytes, ahead := w.deadBytes, 0
	for i, cl := range w.held {
		if i > 0 {
			ahead += cl.weight()
		}
		if i > 0 || cl.items != nil { // what one call by itself has sent is being read
			bytes += cl.size + wire.HeaderSize
		}
	}
	if ahead > most/2 {
		return // few large batches rather than many small ones
	}
	handed := false
	for ahead < most {
		cl := c.nextInTurnLocked(w)
		if cl != nil && c.overLocked(cl) {
			continue
		}
		if cl == nil || cl.target != head.target || cl.kind != head.kind || cl.start != head.start {
			break
		}
		size := cl.size
		if cl.items != nil {
			size = itemBytes // the first of them is not larger
		}
		if bytes+size+wire.HeaderSize > aheadBytes {
			break
		}
		cl = c.takeLocked(cl, most-ahead, aheadBytes-bytes)
		bytes += cl.size + wire.HeaderSize
		w.held = append(w.held, cl)
		cl.worker = w
		cl.module.users++
		handed = true
		ahead += cl.weight()
	}
	if handed {
		c.wakeLocked(c.nowLocked().Add(stallAfter))
	}
}

// shareLocked is how many calls like one a worker may be given at a time that is one of so
// many: as many as have taken a fraction of a millisecond together, none where that is
// not known.
func (c *core) shareLocked(w *worker, cl *call, workers int) int {
	pace := cl.module.pace[cl.target.name]
	if pace == 0 || pace > aheadTime {
		return 0
	}
	most := min(int(aheadTime/pace), c.opts.Batch, (c.queue.size+c.queuedItemsLocked())/workers+1)
	if n := c.opts.CallsPerWorker; n > 0 {
		most = min(most, n-w.calls)
	}
	return most
}

// nextInTurnLocked returns the call that is next in the queue for a worker that
// serves one, or nil when it is a nested one, which is never handed ahead: it could end
// up behind its own caller.
func (c *core) nextInTurnLocked(w *worker) *call {
	for _, l := range c.queue.nested {
		if l.len() > 0 {
			return nil
		}
	}
	if len(c.queue.turns) == 0 {
		return w.serving.next() // the tenant may have all the workers it is allowed
	}
	return c.queue.turns[0].next()
}

// giveBackLocked puts the calls that a worker was handed ahead back to the front
// of the queue. They have not begun.
func (c *core) giveBackLocked(w *worker) {
	if len(w.held) > 0 {
		c.apartAtLocked(w, 0)
		c.giveBackFromLocked(w, 1)
	}
}

// giveBackFromLocked is giveBackLocked for those from place i on.
func (c *core) giveBackFromLocked(w *worker, i int) {
	back := w.held[i:]
	for _, cl := range back {
		c.letGoLocked(cl)
	}
	for _, cl := range slices.Backward(back) {
		if cl.state != Done {
			c.enqueueLocked(cl, true)
		}
	}
	clear(back)
	w.held = w.held[:i]
}

// letGoLocked ends a worker's own hold of a call.
func (c *core) letGoLocked(cl *call) {
	c.leaveModuleLocked(cl.module)
	if cl.state == Done {
		cl.forget()
	}
}
