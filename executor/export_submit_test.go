package executor

// Blocked is how many calls wait for room in the queue.
func Blocked(e *Executor) int {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for t := range c.blocked {
		n += t.blocked.len()
	}
	return n
}
