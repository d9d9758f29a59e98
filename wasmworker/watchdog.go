package wasmworker

import (
	"sync"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/wasmbin"
	"github.com/sandpool/sandpool/internal/wire"
)

// A cause is why a call is ended early.
type cause int

const (
	causeNone cause = iota
	causeWall       // its time is up
	causeCPU        // it has used as much processor time as it may
	causeHost       // the host has said so
)

// A watchdog ends the call that runs, when its time is up or the host wants it to. The
// goroutine that runs calls tells it of them, the one that reads the control pipe of the
// host's wish; a timer of its own does the rest. All of that happens while a guest
// runs, which nothing can preempt, so nothing here waits for the guest's goroutine.
type watchdog struct {
	mu    sync.Mutex        // guards the fields below; never held while a guest runs
	id    uint64            // of the call that runs; 0 for none
	early uint64            // of a call that was to be stopped before it had begun
	flag  api.MutableGlobal // of the instance whose code runs; nil for one without
	up    bool              // it is raised
	fired cause

	began    time.Time
	deadline time.Time     // zero for none
	cpuLimit time.Duration // 0 for none
	cpuBegan time.Duration
	used     time.Duration // of what has run out, when it did

	timer *time.Timer
	due   time.Time // when it fires; zero when it does not

	wake chan struct{} // holds 1: a guest that sleeps need not any more
	nap  *time.Timer   // of that guest
}

// newWatchdog returns a watchdog without a call.
func newWatchdog() *watchdog {
	w := &watchdog{wake: make(chan struct{}, 1), nap: time.NewTimer(time.Hour)}
	w.nap.Stop()
	w.timer = time.AfterFunc(time.Hour, w.tick)
	w.timer.Stop()
	return w
}

// begin is the start of a call at now, which may take that long; 0 means any time. cpu bounds
// what all threads of the process use meanwhile.
func (w *watchdog) begin(id uint64, now time.Time, wall, cpu time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.id, w.fired, w.deadline, w.cpuLimit = id, causeNone, time.Time{}, 0
	select {
	case <-w.wake: // a call before this one did not sleep
	default:
	}
	if wall <= 0 && cpu <= 0 {
		w.stopEarlyLocked()
		return
	}
	w.began = now
	if wall > 0 {
		w.deadline = w.began.Add(wall)
	}
	if cpu > 0 && (wall <= 0 || cpu < wall) { // else it cannot run out first
		w.cpuLimit, w.cpuBegan = cpu, processTime()
	}
	w.armLocked(w.nextLocked(cpu))
	w.stopEarlyLocked()
}

// stopEarlyLocked ends a call that was to be stopped before it began.
func (w *watchdog) stopEarlyLocked() {
	if w.early == w.id && w.id != 0 {
		w.fireLocked(causeHost)
	}
}

// nextLocked is when to look again, given what is left of the processor time.
func (w *watchdog) nextLocked(left time.Duration) time.Time {
	next := w.deadline
	if w.cpuLimit > 0 {
		if at := time.Now().Add(left); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

// armLocked has the timer fire at that time, or before: one that was set for an earlier
// call is left, since to set a timer costs more than to find it too early.
func (w *watchdog) armLocked(at time.Time) {
	if !w.due.IsZero() && !at.Before(w.due) {
		return
	}
	w.due = at
	w.timer.Reset(time.Until(at))
}

// tick looks whether time is up.
func (w *watchdog) tick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due = time.Time{}
	if w.id == 0 || w.fired != causeNone {
		return
	}
	now := time.Now()
	if !w.deadline.IsZero() && !now.Before(w.deadline) {
		w.used = now.Sub(w.began)
		w.fireLocked(causeWall)
		return
	}
	left := time.Duration(0)
	if w.cpuLimit > 0 {
		used := processTime() - w.cpuBegan
		if left = w.cpuLimit - used; left <= 0 {
			w.used = used
			w.fireLocked(causeCPU)
			return
		}
	}
	if next := w.nextLocked(left); !next.IsZero() {
		w.armLocked(next)
	}
}

// stop ends a call because the host wants it to. One that is over is left alone.
func (w *watchdog) stop(id uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id == w.id {
		w.fireLocked(causeHost)
	} else if id > w.early {
		w.early = id
	}
}

// fireLocked ends the call that runs.
func (w *watchdog) fireLocked(why cause) {
	if w.fired != causeNone {
		return
	}
	w.fired = why
	w.raiseLocked()
	select {
	case w.wake <- struct{}{}:
	default: // it holds one
	}
}

func (w *watchdog) raiseLocked() {
	if w.flag != nil && !w.up {
		w.up = true
		w.flag.Set(wasmbin.Stopped)
	}
}

// watch notes whose code is about to run; flag is nil for an instance that cannot be
// ended.
func (w *watchdog) watch(flag api.MutableGlobal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lowerLocked()
	w.flag = flag
	if w.fired != causeNone {
		w.raiseLocked()
	}
}

// lowerLocked makes the instance whose code has run fit to run again.
func (w *watchdog) lowerLocked() {
	if w.up {
		w.up = false
		w.flag.Set(0)
	}
}

// end is the end of a call. Nothing is raised any more.
func (w *watchdog) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lowerLocked()
	w.id, w.flag, w.fired = 0, nil, causeNone
}

// sleep returns after that time, or when the call is ended, and reports which.
func (w *watchdog) sleep(d time.Duration) (ended bool) {
	w.nap.Reset(d)
	select {
	case <-w.nap.C:
		return false
	case <-w.wake:
		w.nap.Stop()
		return true
	}
}

// failure is what the call has failed with that was ended, or nil if it was not.
func (w *watchdog) failure(sl *slot, wall time.Duration) *failure {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch w.fired {
	case causeWall:
		return limitFailure(guestabi.LimitWall, uint64(wall), uint64(w.used))
	case causeCPU:
		return limitFailure(guestabi.LimitCPU, sl.CPU, uint64(w.used))
	case causeHost:
		return &failure{kind: wire.KindStopped}
	default:
		return nil
	}
}
