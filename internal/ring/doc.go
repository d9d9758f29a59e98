// Package ring is the fast way between a host and one worker: memory that both have
// mapped, with a stream of bytes in each direction for frames, and an arena for large payloads. It
// is there on Linux; elsewhere, and where it is turned off, frames travel through pipes
// alone.
//
// The arena has three parts. Two are windows ([Window]), in which the host shows the worker a
// piece of something longer: of a call's input, and of the answer of a host function. The
// worker reads there in any order. The third is a stream to the host, for outputs. What is
// copied into one of them is announced piece by piece, so that the other side copies it out at the same time.
//
// A worker may be hostile. Each side keeps its own position of a stream where the other
// cannot write, takes the other's only within bounds, and bounds each wait. The host learns
// of a worker's end from its process ([Ring.Hangup]), never from shared memory.
package ring

import "errors"

// Sizes in bytes.
const (
	streamSize = 64 << 10 // of each stream of frames; a power of two
	WindowSize = 8 << 20  // of each part of the arena, likewise; memory is taken where it is written
	piece      = 1 << 20  // that is copied before the other side is told of it; see below
)

// A piece of the size of a cache would be read while it is still in the writer's, which takes
// longer than to read it from memory; and from 1 MiB on Go's copies do not go through
// the cache: BenchmarkPieces.

// ErrCorrupt reports positions in shared memory that no honest peer writes.
var ErrCorrupt = errors.New("ring: the other side has broken the shared memory")
