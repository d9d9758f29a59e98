package executor

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sandpool/sandpool/internal/wire"
)

// dropLocked asks a worker not to begin the calls it was handed ahead that are
// done by now. There is one request under way at a time; its answer brings the next. One that the worker
// has said it has begun is not asked for again: each answer would bring the same request.
func (c *core) dropLocked(w *worker) {
	if w.condemned || w.revoking || len(w.held) == 0 {
		return
	}
	w.held = c.dropUnsentLocked(w.held, 1)
	done := func(cl *call) bool { return cl.state == Done && cl.seq > w.begun }
	if !slices.ContainsFunc(w.held, done) {
		return
	}
	c.apartLocked(w)
	first, last := -1, -1
	for i, cl := range w.held {
		if done(cl) {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	c.revokeLocked(w, first, last)
}

// dropUnsentLocked takes those out of held, from place i on, that are done and have
// not been written.
func (c *core) dropUnsentLocked(held []*call, i int) []*call {
	kept := held[:min(i, len(held))]
	for _, cl := range held[len(kept):] {
		if cl.state == Done && cl.seq == 0 {
			c.letGoLocked(cl)
		} else {
			kept = append(kept, cl)
		}
	}
	clear(held[len(kept):])
	return kept
}

// freeStalledLocked has workers give back what they were handed ahead when the
// call before it takes long.
func (c *core) freeStalledLocked() {
	now := time.Now()
	for w := range c.fleet.all {
		if w.condemned || len(w.held) == 0 || len(w.held) == 1 && w.held[0].weight() < 2 {
			continue
		}
		if w.revoking {
			if w.logging && !w.surrendered && len(w.held) > 1 && w.held[1].seq == w.revokeFrom && w.lastSeq == w.revokeTo {
				c.surrenderLocked(w)
			}
			continue
		}
		if end := w.began.Add(stallAfter); now.Before(end) {
			c.wakeLocked(end)
			continue
		}
		c.keepSentLocked(w)
		if len(w.held) < 2 {
			continue
		}
		c.revokeLocked(w, 1, len(w.held)-1)
		if w.inHost || w.logging {
			c.surrenderLocked(w)
		}
	}
}

// keepSentLocked leaves a worker its first call and what it has been sent behind it, each
// by itself; the owner has not come to send the rest.
func (c *core) keepSentLocked(w *worker) {
	if unsent := slices.IndexFunc(w.held[1:], func(cl *call) bool { return cl.seq == 0 }); unsent >= 0 {
		c.giveBackFromLocked(w, 1+unsent)
	}
	c.shortenLocked(w)
	c.apartLocked(w)
}

// surrenderLocked gives the calls away that a worker has been asked to drop, before
// it has answered: its owner may not read the answer for long, being in the user's
// code, and until it has, the worker waits for the host and cannot begin them.
func (c *core) surrenderLocked(w *worker) {
	w.surrendered = true
	for _, cl := range w.held[1:] {
		w.deadBytes += cl.size + wire.HeaderSize
	}
	w.deadSeq = w.lastSeq
	c.giveBackLocked(w)
}

// inHandler notes that the owner goroutine runs the user's log handler, or not.
func (w *worker) inHandler(in bool) {
	c := w.core
	c.mu.Lock()
	defer c.mu.Unlock()
	w.logging = in
	if in && len(w.held) > 1 {
		c.wakeLocked(time.Now().Add(stallAfter))
	}
}

// revokeLocked asks a worker not to begin the calls it holds in places first to
// last, which have been written.
func (c *core) revokeLocked(w *worker, first, last int) {
	w.revoking = true
	w.revokeFrom, w.revokeTo = w.held[first].seq, w.held[last].seq
	h := wire.Header{Type: wire.TypeRevoke, ID: w.revokeFrom, Code: uint32(w.revokeTo - w.revokeFrom + 1)}
	c.after = append(c.after, func() {
		// A failure is the process's end, of which the owner hears by itself.
		_ = w.conn.p.Control(h.AppendTo(nil))
	})
	w.poke() // its owner may be waiting for a host function
}

// owesAnswer reports whether the worker has a REVOKE to answer.
func (w *worker) owesAnswer() bool {
	w.core.mu.Lock()
	defer w.core.mu.Unlock()
	return w.revoking
}

// readRevoked reads the answer to a REVOKE while the worker runs no call, or waits
// for a host function.
func (w *worker) readRevoked() error {
	h, err := w.conn.r.Next(wire.Limits{{Type: wire.TypeRevoked, Max: 0}})
	if err != nil {
		return err
	}
	_, err = w.revoked(h, nil)
	return err
}

// revoked handles the answer to a REVOKE: what the worker has dropped is done
// with, or goes back to the queue. It reports whether cl, whose turn it was, is among
// that.
func (w *worker) revoked(h wire.Header, cl *call) (gone bool, err error) {
	c := w.core
	check := false
	c.update(func() {
		if w.condemned {
			err = errCondemned
			return
		}
		if h.Code == 0 {
			h.ID = w.revokeTo + 1 // it has begun them all
		}
		if err = w.checkRevokedLocked(h); err != nil {
			return
		}
		w.revoking, w.surrendered = false, false
		if len(w.held) > 0 {
			w.begun = max(w.begun, min(h.ID-1, w.held[0].seq))
			if first := w.held[0]; first.state == Done && first.seq >= w.revokeFrom && first.seq < h.ID {
				c.stopLocked(w) // it has begun what nobody waits for
				if w.condemned {
					err = errCondemned
					return
				}
			}
		}
		gone = c.takeBackLocked(w, h.ID, h.ID+uint64(h.Code), cl)
		if gone || len(w.held) == 0 {
			check = c.proceedLocked(w)
		}
		c.dropLocked(w)
		if len(w.held) > 1 && !w.revoking {
			c.wakeLocked(w.began.Add(stallAfter)) // a stall in the meantime was passed over
		}
	})
	if check && err == nil {
		err = w.checkMemory()
	}
	return gone, err
}

// checkRevokedLocked reports what is wrong with an answer to a REVOKE.
func (w *worker) checkRevokedLocked(h wire.Header) error {
	if !w.revoking || h.ID < w.revokeFrom || h.ID > w.revokeTo+1 || h.ID+uint64(h.Code) != w.revokeTo+1 {
		return fmt.Errorf("worker dropped %d calls from %d on, which it was not asked to", h.Code, h.ID)
	}
	if (w.inHost || w.logging) && h.Code > 0 && len(w.held) > 0 && h.ID <= w.held[0].seq {
		return errors.New("worker dropped the call that waits for the host")
	}
	if w.surrendered && h.ID != w.revokeFrom {
		return errors.New("worker began a call while another waited for the host")
	}
	return nil
}

// takeBackLocked takes the calls numbered from from to before to off a worker that
// has dropped them, back to the front of the queue if somebody waits for them, and reports whether cl is one.
func (c *core) takeBackLocked(w *worker, from, to uint64, cl *call) (has bool) {
	var back []*call
	kept := w.held[:0]
	for _, h := range w.held {
		if h.seq < from || h.seq >= to {
			kept = append(kept, h)
			continue
		}
		has = has || h == cl
		w.deadBytes += h.size + wire.HeaderSize
		w.deadSeq = max(w.deadSeq, h.seq)
		c.letGoLocked(h)
		if h.state == Running { // it was next, as far as we knew
			h.usage.Attempts--
		}
		if h.state != Done {
			back = append(back, h)
		}
	}
	clear(w.held[len(kept):])
	w.held = kept
	for _, cl := range slices.Backward(back) {
		c.enqueueLocked(cl, true)
	}
	return has
}
