package executor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/sandpool/sandpool/internal/wire"
)

// The short way of a call. To hand a call to the worker's owner goroutine and its result
// back takes two switches of goroutines, and often two of threads, which is more than all
// the rest. So where a worker waits that has all a call needs, Submit writes the CALL by
// itself and leaves the owner asleep: the call is lent. Then
//
//   - [Future.Wait] waits for the answer in the owner's place, spinning for some microseconds
//     and then asleep, and takes it;
//   - if something else comes, or the owner is wanted, that is woken and does what it always does;
//   - so does everybody who may want to know of a call that nobody waits for: the next Submit,
//     [Future.Done], and a timer, after lentAtMost.
//
// A worker's process, pipes and slots belong to whoever holds worker.io.

const (
	lentAtMost  = time.Millisecond // that nobody looks after a call which has been sent
	directBytes = 32 << 10         // of a lent call's input at most: writing it must not block
)

// lendLocked notes that the Submit which is under way may send its call by itself, and
// reports whether it may.
func (c *core) lendLocked(w *worker, cl *call) bool {
	if c.arriving != cl || !w.direct || cl.items != nil || cl.kind != callFunction || cl.depth > 1 || cl.size > directBytes ||
		len(w.held) != 1 || w.revoking || w.condemned {
		return false
	}
	w.lent, c.lent, cl.direct = cl, w, w
	return true
}

// attendLocked has the owner look after a call that was lent.
func (c *core) attendLocked(w *worker) {
	if w.lent == nil {
		return
	}
	c.reclaimLocked(w, w.lent)
	w.poke()
}

// reclaimLocked ends that a worker's call is lent, or claimed. From now on the call ends with its
// context: it is over so soon where it stays lent that this is not worth watching.
func (c *core) reclaimLocked(w *worker, cl *call) {
	if cl.state != Done && cl.release == nil {
		c.watchLaterLocked(cl)
	}
	w.lent = nil
	if c.lent == w {
		c.lent = nil
	}
	if w.backstop && len(w.held) > 0 && !w.stopping {
		w.armWallLocked(w.held[0])
	}
}

// expireLentLocked has the owner look after a call that has been lent for long enough. One
// that was claimed meanwhile has its wall limit now.
func (c *core) expireLentLocked(w *worker) {
	if w.lent != nil {
		c.attendLocked(w)
	} else if len(w.held) > 0 && !w.stopping {
		w.armWallLocked(w.held[0])
	}
}

// attend has the owner look after the call if nobody does.
func (cl *call) attend() {
	w := cl.direct
	if w == nil {
		return
	}
	w.core.aside(func() {
		if w.lent == cl {
			w.core.attendLocked(w)
		}
	})
}

// sendDirect sends a call that was lent, or leaves that to the owner.
func (w *worker) sendDirect(cl *call) {
	if !w.io.TryLock() {
		cl.attend() // the owner is awake
		return
	}
	defer w.io.Unlock()
	defer w.notPanicked()
	sent, err := w.trySend(cl)
	if err != nil {
		w.lost = err
	}
	if !sent || err != nil {
		cl.attend()
	}
}

// trySend sends a call if nothing has to be loaded for it.
func (w *worker) trySend(cl *call) (sent bool, err error) {
	program, slot := w.slots.last.of(cl)
	if slot == nil || w.conn.ring.Room() < wire.HeaderSize+min(cl.size, wire.ArenaFrom) {
		return false, nil
	}
	w.canStop(cl, program)
	if !w.armBackstop(cl) {
		return false, nil
	}
	w.slots.clock++
	slot.used = w.slots.clock
	w.slot = slot.number
	if err := w.send(cl); !errors.Is(err, errUnwanted) {
		return true, err
	}
	return false, nil // it has been cancelled: the owner goes on to the next
}

// armBackstop starts the clock of a call that is lent, and reports whether it still is.
func (w *worker) armBackstop(cl *call) bool {
	w.core.mu.Lock()
	defer w.core.mu.Unlock()
	if w.lent != cl || cl.state != Running || cl.seq != 0 || w.condemned || w.stopping {
		return false
	}
	limit := lentAtMost
	if wall := cl.target.limits.Wall; wall > 0 {
		limit = min(limit, wall)
	}
	w.deadline, w.late, w.limit, w.backstop = w.began.Add(limit), nil, limit, true
	w.setTimerLocked(limit)
	return true
}

// answerHere waits for the answer of a call that is lent, and takes it, unless ctx ends, or the
// owner is wanted. Then the call is left to that.
func (cl *call) answerHere(ctx context.Context) {
	w := cl.direct
	if w == nil || !w.claim(cl) {
		return
	}
	if !w.io.TryLock() {
		w.giveBackCall(cl)
		return
	}
	defer w.io.Unlock()
	defer w.notPanicked()
	if !w.answered(ctx, cl) {
		w.giveBackCall(cl)
		return
	}
	w.borrowed = true
	err := w.answer(cl) //nolint:contextcheck // ctx bounds the wait, not the call
	w.borrowed = false
	if err != nil {
		w.lost = err
	}
	if err != nil || w.holds() || w.conn.ring.Used() > arenaKept && !w.releases {
		w.poke()
	}
}

// claim takes a call that is lent, and reports whether it was. One whose worker is to be
// looked at afterwards is the owner's.
func (w *worker) claim(cl *call) (claimed bool) {
	c := w.core
	c.aside(func() {
		if w.lent != cl || w.stopping {
			return
		}
		if c.opts.WorkerGrowth > 0 && !w.began.Before(w.nextCheck) {
			c.attendLocked(w)
			return
		}
		w.lent = nil
		if c.lent == w {
			c.lent = nil
		}
		claimed = true
	})
	return claimed
}

// giveBackCall leaves a call that was claimed to the owner.
func (w *worker) giveBackCall(cl *call) {
	c := w.core
	c.aside(func() {
		if len(w.held) > 0 && w.held[0] == cl {
			c.reclaimLocked(w, cl)
		}
	})
	w.poke()
}

// answered waits for the answer of the call that runs, and reports whether it can be read
// without waiting.
func (w *worker) answered(ctx context.Context, cl *call) bool {
	cn, asleep := w.conn, false
	for {
		n := cn.ring.Buffered()
		h, ready := cn.r.Ready(n)
		switch {
		case ready == wire.Whole:
			return h.Type == wire.TypeResult || h.Type == wire.TypeFail
		case ready == wire.HeaderOnly: // who sends a payload bit by bit is not waited for here
			return false
		case cn.ring.Await(n):
			continue
		}
		if !asleep { // until this returns
			asleep = true
			cn.bePatient(true)
			w.nap.set(cn.ring)
			defer w.nap.set(nil)
			defer context.AfterFunc(ctx, w.poke)()
			if cl.watch != nil {
				cl.watch()
			}
		}
		if !cn.ring.Sleep(n, &w.poked) {
			return false
		}
	}
}

// notPanicked breaks the executor over a panic of its own on a caller's goroutine, which
// goes on.
func (w *worker) notPanicked() {
	p := recover()
	if p == nil {
		return
	}
	c := w.core
	c.log.Error("executor panicked", "worker", w.number, "panic", p, "stack", string(debug.Stack()))
	err := fmt.Errorf("panic in the executor: %v", p)
	c.update(func() { c.breakLocked(err) })
	w.lost = err
	w.poke()
}
