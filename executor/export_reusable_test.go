package executor

// PanicCurrent is Panic of the executor that a Reusable's handle stands for.
func PanicCurrent(e *Executor, value any) { e.existing().core.update(func() { panic(value) }) }
