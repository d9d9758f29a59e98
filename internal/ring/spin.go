package ring

import (
	"sync/atomic"
	"time"
)

// Bounds of spinning. To sleep and be woken takes two context switches, 5 to 50 µs.
const (
	spinWindow = 50 * time.Microsecond  // how long: waking a processor that sleeps takes up to half of it in a virtual machine, and what is woken so must not be too late for the other side
	spinPause  = 500 * time.Microsecond // without it when it fails too often, twice as long each time
	spinRest   = 20 * time.Millisecond  // at most: a failure costs a quarter of a percent then
	spinBatch  = 100                    // looks between two at the clock

	spinCredit = 8 // what successes count at most, one each
	spinFailed = 2 // what a failure costs: there are those that only tell of a busy moment
)

// A spin remembers whether waiting without giving the processor away has paid lately. It
// is for one goroutine.
type spin struct {
	credit int
	pause  time.Duration // when the credit is used up the next time
	off    time.Time     // until then; only looked at while the credit is used up
}

// until returns true when ready does, false when it is better to sleep. A wait that is
// over before the clock is looked at costs nothing but itself.
func (s *spin) until(ready func() bool) bool {
	if s.credit < 0 && time.Now().Before(s.off) {
		return false
	}
	var began time.Time
	for {
		for range spinBatch {
			if ready() {
				s.succeeded()
				return true
			}
		}
		now := time.Now()
		if began.IsZero() {
			began = now
		} else if now.Sub(began) > spinWindow {
			s.failed(now)
			return false
		}
	}
}

func (s *spin) succeeded() {
	if s.credit < 0 {
		s.credit = 0
	}
	if s.credit < spinCredit {
		s.credit++
	} else {
		s.pause = 0
	}
}

func (s *spin) failed(now time.Time) {
	if s.credit = max(s.credit-spinFailed, -1); s.credit < 0 {
		s.pause = min(max(2*s.pause, spinPause), spinRest)
		s.off = now.Add(s.pause)
	}
}

// A crowd is the waits of one host process for its workers. A wait may spin while there
// is a processor for it beside those that its own worker and all others take.
type crowd struct {
	waits, spins atomic.Int32
	processors   atomic.Int32
}

// enter reports whether one more wait may spin; if so, leave ends that.
func (c *crowd) enter() bool {
	if c.spins.Add(1)+c.waits.Load() <= c.processors.Load() {
		return true
	}
	c.spins.Add(-1)
	return false
}

func (c *crowd) leave() { c.spins.Add(-1) }

// idle reports whether a worker may spin after the call that it is given: whether there
// is a processor for it beside the host and the other workers.
func (c *crowd) idle() bool { return c.waits.Load()+1 < c.processors.Load() }
