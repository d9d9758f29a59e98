package executor

// SetInline makes an executor that has not been used send modules through the
// pipe, as it does on systems without descriptor passing.
func SetInline(e *Executor) { e.core.inline = true }
