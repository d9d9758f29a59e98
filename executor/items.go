package executor

import (
	"slices"
	"sync"
	"time"

	"github.com/sandpool/sandpool/internal/wire"
)

// Small inputs of a Map travel together. To the scheduler they are one call, with items:
// it is queued when there is the first, takes more while it waits, and is cut into parts
// as workers get free. A worker knows nothing of that: it gets a CALL for each item, and
// answers each. What is saved is the host's work for a call, which is many times a small
// call's own.
//
// All of that is for calls that go well. When something else happens to a part that a
// worker holds, to a failing item, one that takes long or calls the host, to the
// worker, or because nobody waits any more, it is taken apart: the items that are left
// become calls like any other.

// itemBytes is the largest input that travels with others.
const itemBytes = wire.ArenaFrom

// An item is one input of a Map.
type item struct {
	index  int
	core   *core // nil for none
	input  []byte
	size   int   // of input
	call   *call // that it is part of, or is itself; guarded by core.mu until it is done
	output []byte
	err    error // both set before it is done; those of a call by itself are the call's
	done   bool  // the Map has heard of it; the Map's
}

// items are those of a call.
type items struct {
	out *outbox // gets those that are done

	mu   sync.Mutex // guards the fields below while open; core.mu may be held, nothing is locked under it
	open bool       // the Map may add to them
	list []*item

	// Guarded by core.mu.
	answered int       // how many of them are done, the first ones
	began    time.Time // when the worker began the first
}

// add adds an item, if that is still possible, and returns how many there are.
func (s *items) add(cl *call, it *item) (n int, added bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return 0, false
	}
	it.call = cl
	s.list = append(s.list, it)
	return len(s.list), true
}

// waiting is how many items there are.
func (s *items) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list)
}

// isOpen reports whether a Map may add to the items.
func (s *items) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// left lists the items that are not done.
func (s *items) left() []*item { return s.list[s.answered:] }

// weight is how many calls a call stands for.
func (cl *call) weight() int {
	if cl.items == nil {
		return 1
	}
	return cl.items.waiting() - cl.items.answered
}

// sealLocked ends that a Map may add to a call's items.
func (c *core) sealLocked(cl *call) {
	s := cl.items
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		s.open = false
		c.countItemsLocked(cl, len(s.list))
	}
}

// countItemsLocked counts items as taken in, once it is certain how many there are.
func (c *core) countItemsLocked(cl *call, n int) {
	if cl.untaken {
		return
	}
	c.takenInLocked(cl.module, n)
}

// queuedItemsLocked is how many more calls than the queue has entries wait in it.
func (c *core) queuedItemsLocked() int {
	n := 0
	for cl := range c.bundles {
		if cl.ready {
			n += cl.weight() - 1
		}
	}
	return n
}

// takeLocked takes a call out of the queue for a worker: all of it, or of one with items
// up to most, and up to room bytes with their headers, but at least one.
func (c *core) takeLocked(cl *call, most, room int) *call {
	if cl.items == nil {
		c.queue.remove(cl) // it counts as waiting until it begins
		return cl
	}
	part, size, open, all := cl.items.cut(most, room)
	if open {
		c.countItemsLocked(cl, len(part))
	}
	if all {
		c.queue.remove(cl)
		cl.size = size
		return cl
	}
	cl = c.partLocked(cl, part, size)
	c.countWaitingLocked(cl)
	return cl
}

// cut takes items off the front. size is what they take in a stream, but for one header;
// open is whether a Map could add to them.
func (s *items) cut(most, room int) (part []*item, size int, open, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for ; n < len(s.list); n++ {
		more := s.list[n].size + wire.HeaderSize
		if n > 0 && (n >= most || size+more > room) {
			break
		}
		size += more
	}
	part, open, all = s.list[:n:n], s.open, n == len(s.list)
	if all {
		s.open = false
	} else {
		s.list = s.list[n:]
	}
	return part, size - wire.HeaderSize, open, all
}

// shortenLocked leaves a worker only the first item of its first call, which has not been
// sent, and gives back the others.
func (c *core) shortenLocked(w *worker) {
	cl := w.held[0]
	s := cl.items
	if s == nil || cl.seq != 0 || len(s.list) < 2 {
		return
	}
	size := cl.size - s.list[0].size - wire.HeaderSize
	rest := c.partLocked(cl, s.list[1:], size)
	s.list, cl.size = s.list[:1:1], s.list[0].size
	c.enqueueLocked(rest, true)
}

// partLocked makes a call of some of the items that another has waiting.
func (c *core) partLocked(of *call, part []*item, size int) *call {
	cl := c.likeLocked(of)
	cl.size = size
	cl.items = &items{out: of.items.out, list: part}
	for _, it := range part {
		it.call = cl
	}
	c.bundles[cl] = struct{}{}
	c.watchLaterLocked(cl)
	return cl
}

// likeLocked makes a call that is what another one is but for its input, taken in and
// nowhere yet.
func (c *core) likeLocked(of *call) *call {
	cl := newCall(of.target, nil)
	cl.core, cl.owner, cl.kind, cl.flags = c, of.owner, of.kind, of.flags
	cl.submitted, cl.values = of.submitted, of.values
	cl.bind = of.bind
	cl.bind(cl)
	cl.usage.KillOnly, cl.usage.StartMethod, cl.usage.Fallback = of.usage.KillOnly, of.usage.StartMethod, of.usage.Fallback
	cl.tenant, cl.module, cl.start = of.tenant, of.module, of.start
	if cl.start.snap != nil {
		c.adoptLocked(cl.start.snap)
	}
	cl.tenant.calls++
	c.pending++
	cl.module.users++
	return cl
}

// finishItemsLocked ends what is left of a call's items with err, and counts all.
func (c *core) finishItemsLocked(cl *call, err error) {
	c.sealLocked(cl)
	s := cl.items
	delete(c.bundles, cl)
	if cl.untaken {
		return // the Map sees to it
	}
	c.stats.Succeeded += uint64(s.answered)
	for _, it := range s.left() {
		it.err = err
		c.stats.count(err)
	}
	s.out.put(s.left()...)
}

// apartLocked takes all apart that a worker holds: each item that is left becomes a call.
func (c *core) apartLocked(w *worker) {
	for i := range slices.Backward(w.held) { // those that come instead are behind
		c.apartAtLocked(w, i)
	}
}

// apartAtLocked takes one call apart that a worker holds, if there is anything to take
// apart.
func (c *core) apartAtLocked(w *worker, i int) {
	if cl := w.held[i]; cl.items != nil && cl.state != Done && len(cl.items.left()) > 0 {
		w.held = slices.Replace(w.held, i, i+1, c.callsOfLocked(w, cl)...)
	}
}

// callsOfLocked makes calls of what is left of a call that a worker holds, in its place.
func (c *core) callsOfLocked(w *worker, of *call) []*call {
	s := of.items
	calls := make([]*call, 0, len(s.left()))
	for i, it := range s.left() {
		cl := c.likeLocked(of)
		cl.input, cl.size = it.input, it.size
		it.call = cl
		cl.hook = func() { s.out.put(it) }
		cl.worker, cl.state = w, Queued
		if of.seq != 0 {
			cl.seq = of.seq + uint64(s.answered+i)
		}
		cl.module.users++ // the worker's own hold
		if i == 0 && of.state == Running {
			cl.state = Running
			cl.usage.Queue = w.began.Sub(cl.submitted)
			cl.usage.Worker, cl.usage.PID, cl.usage.Attempts = w.number, w.pid, 1
		} else {
			c.countWaitingLocked(cl)
		}
		c.watchLaterLocked(cl)
		calls = append(calls, cl)
	}
	// The call itself ends without a word: its items speak for it. Its owner may still be
	// reading from it; the first of them holds for longer what that needs.
	c.stats.Succeeded += uint64(s.answered)
	s.list = s.list[:s.answered]
	delete(c.bundles, of)
	c.leaveQueueLocked(of)
	of.state = Done
	c.afterCallLocked(of)
	c.pending--
	c.queue.release(of.tenant)
	c.leaveModuleLocked(of.module)
	c.leaveModuleLocked(of.module)
	c.releaseLocked(of.start.snap)
	close(of.done)
	return calls
}

// cancelItemsLocked ends what is left of a call's items with err.
func (c *core) cancelItemsLocked(cl *call, err error) {
	w := cl.worker
	if w == nil {
		c.finishLocked(cl, nil, err)
		return
	}
	left := slices.Clone(cl.items.left())
	c.apartLocked(w)
	for _, it := range left {
		c.cancelLocked(it.call, err)
	}
}

// An outbox has the items of one Map that are done, until the Map takes them.
type outbox struct {
	wake chan struct{} // holds 1: there is one

	mu   sync.Mutex // guards done; core.mu may be held, nothing is locked under it
	done []*item
	room []*item // what done was, to be used again; the Map's
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

// put adds items.
func (o *outbox) put(done ...*item) {
	if len(done) == 0 {
		return
	}
	o.mu.Lock()
	o.done = append(o.done, done...)
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default: // it holds one
	}
}

// take returns what is there, valid until the next take.
func (o *outbox) take() []*item {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.room)
	o.done, o.room = o.room[:0], o.done
	return o.room
}

// wait returns what is there, and waits until that is something.
func (o *outbox) wait() []*item {
	for {
		if done := o.take(); len(done) > 0 {
			return done
		}
		<-o.wake
	}
}

// bundles reports whether a call of a Map may travel with others.
func (cl *call) bundles(o *Options) bool {
	return cl.state != Done && cl.kind == callFunction && cl.depth == 1 && cl.flags == 0 && cl.keep == nil && !cl.usage.Cached &&
		!cl.target.meter && cl.size < itemBytes &&
		o.Batch > 0 && o.MaxPending == 0 && o.TenantPending == 0
}
