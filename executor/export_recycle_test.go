package executor

// SetMaxCode bounds what the workers of an executor that has not been used hold of
// modules and compiled code, in bytes.
func SetMaxCode(e *Executor, n int64) { e.core.maxCode = n }

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
