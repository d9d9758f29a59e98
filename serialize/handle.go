package serialize

import "sync/atomic"

// A Handle points at a module, and can be pointed at another one while calls go on:
// executor.Func.Handle takes the place of executor.Func.Module, and each Submit
// calls the module that the handle points at then. Calls that were submitted before
// keep theirs. executor.Swap makes a module ready before it points a handle at it.
// A Handle must not be copied. It is safe for concurrent use.
type Handle struct {
	module atomic.Pointer[Module] // nil in the zero value, which nothing can be called by
}

// NewHandle returns a handle that points at m. It panics when m is nil.
func NewHandle(m *Module) *Handle {
	h := new(Handle)
	h.Set(m)
	return h
}

// Module returns the module that the handle points at; nil before the first Set of
// a zero Handle.
func (h *Handle) Module() *Module { return h.module.Load() }

// Set points the handle at m at once, whether any worker is ready for it or not, and
// returns the module that it pointed at. It panics when m is nil.
func (h *Handle) Set(m *Module) (old *Module) {
	if m == nil {
		panic("serialize: Handle.Set of a nil module")
	}
	return h.module.Swap(m)
}
