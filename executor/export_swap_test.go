package executor

import "github.com/sandpool/sandpool/serialize"

// ModulesHeld returns how many modules an executor has, and the most that one of its
// workers has loaded.
func ModulesHeld(e *Executor) (host, worker int) {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.fleet.all {
		worker = max(worker, len(w.modules))
	}
	return len(c.modules), worker
}

// HoldsModule reports whether an executor has a module.
func HoldsModule(e *Executor, m *serialize.Module) bool {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.modules[moduleKey{m.Sum(), c.opts.mode()}] != nil
}
