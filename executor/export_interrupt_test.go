package executor

import "time"

// SetStopGrace is how long workers may take to end a call before they are killed.
func SetStopGrace(e *Executor, d time.Duration) {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopGrace = d
}
