package executor

import "github.com/sandpool/sandpool/serialize"

// Tasks is how many loads wait for workers to come to rest.
func Tasks(e *Executor) int {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for w := range c.fleet.all {
		n += w.tasks.len()
	}
	return n
}

// standbys counts the standbys that rest and are so.
func standbys(e *Executor, are func(*worker) bool) int {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, w := range c.fleet.standbys {
		if are(w) {
			n++
		}
	}
	return n
}

// Stocked is how many standbys are ready and have the module.
func Stocked(e *Executor, m *serialize.Module) int {
	return standbys(e, func(w *worker) bool {
		_, ok := w.modules[m.Sum()]
		return ok
	})
}

// Ready is how many standbys rest that have an instance of a module ready.
func Ready(e *Executor, m *serialize.Module) int {
	return standbys(e, func(w *worker) bool {
		return w.stock != nil && w.stock.source.Sum() == m.Sum() && w.stockImage != nil
	})
}

// Bound lists the tenants of workers, by their processes, that are one's alone.
func Bound(e *Executor) map[int]string {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	bound := make(map[int]string)
	for w := range c.fleet.all {
		if w.bound && !w.out {
			bound[w.pid] = w.domain
		}
	}
	return bound
}

// Unsteady reports whether an image of a module is found unfit to make instances ready.
func Unsteady(e *Executor, m *serialize.Module) bool {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, mod := range c.modules {
		for _, img := range mod.images {
			if key.sum == m.Sum() && img.unsteady {
				return true
			}
		}
	}
	return false
}
