package wasmworker

import (
	"encoding/binary"
	"fmt"

	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/internal/ring"
	"github.com/sandpool/sandpool/internal/wire"
)

// openRing maps the memory that the host has sent ahead of HELLO.
func openRing(in *proc.Inherited) (*ring.Ring, error) {
	f, err := in.ReceiveBlob()
	if err != nil {
		return nil, err
	}
	return ring.Open(f)
}

// readInput reads the payload of a CALL, unless it is in the arena. The host is not to be
// guarded against: the buffer is made at once, since growing it would leave garbage that
// nothing collects before the call is over.
func (s *server) readInput(h wire.Header) (incoming, error) {
	if h.Flags&wire.FlagArena != 0 {
		size, err := s.placedSize(h)
		if err != nil {
			return incoming{}, err
		}
		if h.Flags&(wire.FlagStdin|wire.FlagCommand) == 0 {
			return shown(s.ring.Input, wire.ShowInput, size), nil
		}
		if size > ring.WindowSize {
			return incoming{}, fmt.Errorf("a CALL of %d bytes with flags %#x is said to be in the arena", size, h.Flags)
		}
		b, err := s.ring.Input.View(int(size))
		return inMemory(b), err
	}
	n := int(h.Length)
	buf := s.input
	if cap(buf) < n {
		buf = make([]byte, n)
		if n <= keepBuffer {
			s.input = buf
		}
	}
	b, err := s.r.Payload(buf[:n])
	return inMemory(b), err
}

// placedSize reads how long a payload is that the host has put into the arena.
func (s *server) placedSize(h wire.Header) (uint64, error) {
	if s.ring == nil || h.Length != wire.ArenaPayload {
		return 0, fmt.Errorf("a %s is said to be in an arena", h.Type)
	}
	b, err := s.r.Payload(s.size[:])
	if err != nil {
		return 0, err
	}
	n := binary.LittleEndian.Uint64(b)
	if n > wire.MaxPayload {
		return 0, fmt.Errorf("a %s of %d bytes is said to be in the arena", h.Type, n)
	}
	return n, nil
}

// reply sends a RESULT with what has not been sent of the output. more says that other
// calls are known to follow.
func (s *server) reply(h wire.Header, output *chunks, more bool) error {
	switch {
	case output.staged:
		return s.out.Place(h, s.ring, nil, nil)
	case more:
		return s.out.WriteQuietly(h, output.parts...)
	default:
		return s.out.Write(h, output.parts...)
	}
}

// sendOutput sends ahead of the call's end what there is of its output, and p. It ends the
// call when it cannot.
func (s *server) sendOutput(c *chunks, p []byte) {
	h := wire.Header{Type: wire.TypeOutput, ID: s.call.id}
	if err := s.out.Place(h, s.ring, c.parts, p); err != nil {
		s.end(internalFailure(err))
	}
	if f := s.call.stopped(); f != nil {
		s.end(f) // its time has run out meanwhile
	}
}
