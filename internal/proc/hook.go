package proc

import (
	"os"
	"sync/atomic"
)

// Marker is the environment variable that makes a program with the hook a
// worker. Its value lists the inherited descriptors: requests, replies, control
// and, where there is one, the descriptor channel.
const Marker = "SANDPOOL_WORKER"

// hooked is set once the program has called wasmworker.Main or imported
// wasmworker/auto, and never cleared.
var hooked atomic.Bool

// SetHooked records that this program serves as its own worker.
func SetHooked() { hooked.Store(true) }

// Hooked reports whether SetHooked was called.
func Hooked() bool { return hooked.Load() }

// Marked reports whether this process was started as a worker.
func Marked() bool { return os.Getenv(Marker) != "" }
