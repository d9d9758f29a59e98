package executor

import (
	"time"

	"github.com/sandpool/sandpool/serialize"
)

// Ahead is how many calls workers have been handed ahead of their turn.
func Ahead(e *Executor) int {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for w := range c.fleet.all {
		for _, cl := range w.held[min(1, len(w.held)):] {
			n += cl.weight()
		}
	}
	return n
}

// SetPace makes an executor believe that the calls of a function it knows take d.
func SetPace(e *Executor, m *serialize.Module, function string, d time.Duration) {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moduleLocked(m, c.opts.mode()).pace[function] = d
}

// Together is how many items the largest call has that a worker holds.
func Together(e *Executor) int {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	most := 0
	for w := range c.fleet.all {
		for _, cl := range w.held {
			most = max(most, cl.weight())
		}
	}
	return most
}

// Asleep reports whether all owner goroutines sleep, so that Submit may send by itself.
func Asleep(e *Executor) bool {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.fleet.all {
		if !w.io.TryLock() {
			return false
		}
		w.io.Unlock()
	}
	return true
}
