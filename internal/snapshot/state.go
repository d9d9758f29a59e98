package snapshot

import "fmt"

// RuntimeRandom is how many generators Go's runtime has: one for the process and one for
// its only thread.
const RuntimeRandom = 2

// maxRandom is how many generators are looked for.
const maxRandom = 64

// A State is what a capture takes besides the memory's contents. It may come from
// a process that is not trusted: it is validated once, when it is accepted.
type State struct {
	Size    uint64   `cbor:"size"`              // of the linear memory, in bytes; 0 for a module without one
	Globals []uint64 `cbor:"globals,omitempty"` // the mutable numeric globals, in the order of their exports
	Random  []uint32 `cbor:"random,omitempty"`  // offsets of states of Go's generators in the image, ascending
}

// Validate reports whether the state is one for an image of that size and a
// module that exports that many globals for its sake.
func (s *State) Validate(imageSize uint64, globals int) error {
	if s.Size != imageSize {
		return fmt.Errorf("a memory of %d bytes over an image of %d", s.Size, imageSize)
	}
	if s.Size%wasmPage != 0 || s.Size > maxMemory {
		return fmt.Errorf("a memory of %d bytes", s.Size)
	}
	if len(s.Globals) != globals {
		return fmt.Errorf("%d globals, the module has %d", len(s.Globals), globals)
	}
	if len(s.Random) > maxRandom {
		return fmt.Errorf("%d generators, %d allowed", len(s.Random), maxRandom)
	}
	next := uint64(0) // they do not overlap
	for _, at := range s.Random {
		if at%generatorAlign != 0 || uint64(at) < next || uint64(at)+generatorSize > s.Size {
			return fmt.Errorf("a generator at %#x of %d bytes", at, s.Size)
		}
		next = uint64(at) + generatorSize
	}
	return nil
}
