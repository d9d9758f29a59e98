package executor

// ModuleBytes is how many bytes an executor keeps of its modules.
func ModuleBytes(e *Executor) int64 {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moduleBytes
}
