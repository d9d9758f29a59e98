package executor

import "time"

// SetInline makes an executor that has not been used send modules through the
// pipe, as it does on systems without descriptor passing.
func SetInline(e *Executor) { e.core.inline = true }

// Panic makes the executor itself panic, in the middle of a transition.
func Panic(e *Executor, value any) { e.core.update(func() { panic(value) }) }

// SetImageAge makes an executor that has not been used capture images anew after d.
func SetImageAge(e *Executor, d time.Duration) { e.core.imageAge = d }
