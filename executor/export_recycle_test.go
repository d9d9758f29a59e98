package executor

import (
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// SetMaxCode bounds what the workers of an executor that has not been used hold of
// modules and compiled code, in bytes.
func SetMaxCode(e *Executor, n int64) {
	e.core.mu.Lock()
	defer e.core.mu.Unlock()
	e.core.maxCode = n
}

// CodeSize is how many bytes a worker holds of a module that calls use by a start method.
func CodeSize(e *Executor, m *serialize.Module, method startmethod.Method) int64 {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, mod := range c.modules {
		if key.sum == m.Sum() {
			return codeSize(&call{module: mod}, slotKey{method: method})
		}
	}
	return 0
}

// Held is how many modules the workers have loaded.
func Held(e *Executor) int {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for w := range c.fleet.all {
		n += len(w.modules)
	}
	return n
}

// MaxWorkerModules is the most modules that one worker holds.
const MaxWorkerModules = maxWorkerModules
