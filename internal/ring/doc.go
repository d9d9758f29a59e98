// Package ring is the fast way between a host and one worker: memory that both have
// mapped, with a stream of bytes in each direction and an arena for large payloads in each
// direction. It is there on Linux; elsewhere, and where it is turned off, frames travel
// through pipes alone.
//
// A worker may be hostile. Each side keeps its own position of a stream where the other
// cannot write, takes the other's only within bounds, and bounds each wait. The host learns
// of a worker's end from its process ([Ring.Hangup]), never from shared memory.
package ring

import "errors"

// Sizes in bytes.
const (
	streamSize = 64 << 10 // of each stream; a power of two
	ArenaSize  = 64 << 20 // of the arena in each direction; memory is taken where it is written
)

// ErrCorrupt reports positions in shared memory that no honest peer writes.
var ErrCorrupt = errors.New("ring: the other side has broken the shared memory")
