package executor

import "iter"

// PIDs yields the processes of the workers that have come up.
func PIDs(e *Executor) iter.Seq[int] {
	return func(yield func(int) bool) {
		c := e.core
		c.mu.Lock()
		var pids []int
		for p := range c.serving {
			pids = append(pids, p.PID)
		}
		c.mu.Unlock()
		for _, pid := range pids {
			if !yield(pid) {
				return
			}
		}
	}
}

// StartFailures is how many starts of workers have failed in a row.
func StartFailures(e *Executor) int {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.startFailures
}
