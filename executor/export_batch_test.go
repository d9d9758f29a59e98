package executor

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
