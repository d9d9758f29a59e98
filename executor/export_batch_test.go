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
		n += max(0, len(w.held)-1)
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
