//go:build !linux

package sandbox

import "runtime"

// Facts describes the system, as far as sandboxes depend on it.
func Facts() []Fact {
	return []Fact{{"system", runtime.GOOS + ": workers have no sandbox beyond the process itself; not for code that you do not trust"}}
}
