package executor

// SetInline makes an executor that has not been used send modules through the
// pipe, as it does on systems without descriptor passing.
func SetInline(e *Executor) { e.core.inline = true }

// Panic makes the executor itself panic, in the middle of a transition.
func Panic(e *Executor, value any) { e.core.update(func() { panic(value) }) }
