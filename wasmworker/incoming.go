package wasmworker

import (
	"fmt"

	"github.com/sandpool/sandpool/internal/ring"
	"github.com/sandpool/sandpool/internal/wire"
)

// An incoming is what the host has for the guest: a call's input, or the answer of a host
// function. Long ones are in the arena. Of one that is too long for its window there the host
// shows a piece at a time, as far as the guest reads on; if it goes back, all of it is
// fetched. So no byte is sent more than twice. The zero value is empty.
type incoming struct {
	bytes []byte // all of it; unless window is set
	size  uint64

	window   *ring.Window // nil for none
	what     uint32       // it is, to the host: see [wire.HostShow]
	from, to uint64       // the piece
}

// inMemory returns an incoming that is there.
func inMemory(b []byte) incoming { return incoming{bytes: b, size: uint64(len(b))} }

// shown returns an incoming of which the window shows the beginning.
func shown(w *ring.Window, what uint32, size uint64) incoming {
	return incoming{size: size, window: w, what: what, to: min(size, ring.WindowSize)}
}

// onHeap is how many bytes it takes of the process's own memory.
func (in *incoming) onHeap() uint64 { return uint64(len(in.bytes)) }

// deliver copies what an incoming has from the offset on, and returns how much that is. Only
// the guest's own goroutine calls it, with memory of the guest.
func (s *server) deliver(in *incoming, dst []byte, offset uint64) uint32 {
	if offset >= in.size {
		return 0
	}
	dst = dst[:min(uint64(len(dst)), in.size-offset)]
	if in.window != nil && offset < in.from {
		s.fetchAll(in)
	}
	if in.window == nil {
		return uint32(copy(dst, in.bytes[offset:]))
	}
	s.readOn(in, dst, offset)
	return uint32(len(dst))
}

// readOn reads from an offset on that is not before the window. It ends the call when it
// cannot.
func (s *server) readOn(in *incoming, dst []byte, offset uint64) {
	for len(dst) > 0 {
		if offset >= in.to {
			s.show(in, offset)
		}
		n := min(uint64(len(dst)), in.to-offset)
		if err := in.window.ReadAt(dst[:n], int(offset-in.from)); err != nil {
			s.end(internalFailure(err))
		}
		dst, offset = dst[n:], offset+n
	}
}

// show has the host show another piece, from an offset on.
func (s *server) show(in *incoming, offset uint64) {
	s.heap.note(hostCallCost)
	ret, err := s.hostCall(wire.Header{Slot: wire.HostShow, Code: in.what, Time: int64(offset)}, nil, 0)
	switch {
	case err != nil:
		s.end(internalFailure(err))
	case ret.Code == wire.HostStopped:
		s.end(s.call.stoppedByHost())
	case ret.Code != wire.HostOK:
		s.end(internalFailure(fmt.Errorf("host answered with code %d", ret.Code)))
	}
	in.from, in.to = offset, min(offset+ring.WindowSize, in.size)
	if f := s.call.stopped(); f != nil {
		s.end(f) // its time has run out meanwhile
	}
}

// fetchAll brings all of an incoming into memory.
func (s *server) fetchAll(in *incoming) {
	s.heap.note(int(in.size))
	b := make([]byte, in.size)
	if in.from > 0 {
		s.show(in, 0)
	}
	s.readOn(in, b, 0)
	*in = inMemory(b)
}
