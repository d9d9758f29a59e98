package sandbox

import "unsafe"

// ptr passes an output parameter to prctl, which keeps nothing of it.
func ptr(p *int32) uintptr { return uintptr(unsafe.Pointer(p)) }
