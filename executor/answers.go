package executor

import (
	"time"

	"github.com/sandpool/sandpool/internal/wire"
)

// patience is how often the host looks by itself for answers of which the worker says
// nothing, because more are to come: see wire.FlagMore.
const patience = 200 * time.Microsecond

// quietPace is how long calls may take for that: the last of a batch wakes the host.
const quietPace = 20 * time.Microsecond

// bePatient says whether the worker wakes the host with its next answer.
func (cn *conn) bePatient(woken bool) {
	if cn.ring == nil {
		return
	}
	if woken {
		cn.ring.LookEvery(0)
	} else {
		cn.ring.LookEvery(patience)
	}
}

// apart takes a call apart that the worker serves, and reports whether it has several
// items, or had.
func (w *worker) apart(cl *call) bool {
	if cl.items == nil {
		return false
	}
	w.core.update(func() {
		if len(w.held) > 0 && w.held[0] == cl {
			w.core.apartAtLocked(w, 0)
		}
	})
	return true
}

// answerItems reads the answers to a call with items. It returns when the last is there,
// and when the call has been taken apart.
func (w *worker) answerItems(cl *call) error {
	for {
		if err := w.conn.r.Await(); err != nil {
			return err
		}
		more, err := w.takeAnswers(cl)
		if !more || err != nil {
			return err
		}
	}
}

// takeAnswers takes the answers that are there, and reports whether there are more to
// wait for.
func (w *worker) takeAnswers(cl *call) (more bool, err error) {
	ours, plain, all := false, false, false
	func() {
		w.core.mu.Lock()
		defer w.core.mu.Unlock()
		if ours = len(w.held) > 0 && w.held[0] == cl && cl.state == Running; ours {
			plain, err = w.takeAnswersLocked(cl)
			all = len(cl.items.left()) == 0
		}
	}()
	switch {
	case err != nil || !ours:
		return false, err
	case all:
		return false, w.settle(cl, nil, Usage{}, nil)
	case !plain:
		w.apart(cl)
		return false, nil
	}
	return true, nil
}

// takeAnswersLocked takes the answers that are there in whole, and reports whether the
// next one is either missing or like them: the result of the item whose turn it is.
// Reading it does not block.
func (w *worker) takeAnswersLocked(cl *call) (plain bool, err error) {
	s, most := cl.items, cl.maxResult()
	from := s.answered
	defer func() {
		if done := s.list[from:s.answered]; len(done) > 0 {
			w.progressLocked()
			s.out.put(done...)
		}
	}()
	for s.answered < len(s.list) {
		h, ready := w.conn.r.Ready(0)
		if ready != wire.Whole {
			return s.answered > from, nil // what does not fit the reader's buffer is no plain answer
		}
		if h.Type != wire.TypeResult || h.Flags != 0 || h.ID != cl.seq+uint64(s.answered) || h.Length > most {
			return false, nil
		}
		if _, err := w.conn.r.Next(wire.Limits{{Type: wire.TypeResult, Max: most}}); err != nil {
			return false, err
		}
		it := s.list[s.answered]
		if it.output, err = w.conn.r.Payload(nil); err != nil {
			return false, err
		}
		s.answered++
	}
	return true, nil
}

// progressLocked notes that the worker has begun its call's next item: the clocks start
// anew.
func (w *worker) progressLocked() {
	w.began = time.Now()
	if !w.deadline.IsZero() {
		w.deadline = w.began.Add(w.limit) // expire finds the timer too early
	}
}
