package wasmworker

import (
	"crypto/rand"
	"sync"
	"time"

	"github.com/sandpool/sandpool/internal/wasi"
)

// clock returns how the slot's guests see the time.
func (sl *slot) clock() wasi.Clock {
	if sl.Clock == nil {
		return wasi.Clock{}
	}
	return wasi.Clock{Fixed: sl.Clock.Fixed, Start: sl.Clock.Start, Resolution: sl.Clock.Resolution}
}

// newSystem returns what a guest sees of the world without grants: clocks, random
// numbers and a place to print to.
func newSystem(stdout, stderr *lines) wasi.System {
	return wasi.System{
		Stdout:   stdout,
		Stderr:   stderr,
		Random:   fillRandom,
		Walltime: walltime,
		Nanotime: nanotime,
		Sleep:    sleep,
	}
}

// fillRandom gives guests the system's random numbers; it crashes rather than fail.
func fillRandom(p []byte) { _, _ = rand.Read(p) }

func walltime() (sec int64, nsec int32) {
	t := time.Now()
	return t.Unix(), int32(t.Nanosecond())
}

// nanotime is the monotonic clock that all processes of a boot share, where the
// system has one: a snapshot of an instance may be continued in another worker,
// where time must not go back.
func nanotime() int64 {
	b := bootClock()
	return b.at + int64(time.Since(b.began))
}

// A reading says what the shared clock showed when this process's own did.
type reading struct {
	began time.Time
	at    int64 // in nanoseconds
}

// bootClock reads both clocks, once. Go's own is then the faster one to read, since
// it does so without a system call.
var bootClock = sync.OnceValue(func() reading {
	best := reading{began: time.Now()}
	gap := int64(-1)
	for range 10 { // one of them will be without an interruption
		before := sharedClock()
		t := time.Now()
		after := sharedClock()
		if gap < 0 || after-before < gap {
			gap = after - before
			best = reading{began: t, at: before + gap/2}
		}
	}
	return best
})

func sleep(ns int64) {
	time.Sleep(time.Duration(ns)) //nolint:forbidigo // the guest asked for it; a worker does one thing at a time
}
