package wasmworker

import (
	"encoding/binary"
	"errors"
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

// readInput reads the input of a CALL, or finds it in the arena. The host is not to be
// guarded against: the buffer is made at once, since growing it would leave garbage that
// nothing collects before the call is over.
func (s *server) readInput(h wire.Header) ([]byte, error) {
	if h.Flags&wire.FlagArena != 0 {
		return s.placedInput(h)
	}
	n := int(h.Length)
	buf := s.input
	if cap(buf) < n {
		buf = make([]byte, n)
		if n <= keepBuffer {
			s.input = buf
		}
	}
	return s.r.Payload(buf[:n])
}

// placedInput is an input that the host has put into the arena. It stays there until the
// call is answered.
func (s *server) placedInput(h wire.Header) ([]byte, error) {
	if s.ring == nil || h.Length != wire.ArenaPayload {
		return nil, errors.New("an input is said to be in an arena")
	}
	var b [wire.ArenaPayload]byte
	if _, err := s.r.Payload(b[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(b[:])
	if n > ring.ArenaSize {
		return nil, fmt.Errorf("an input of %d bytes is said to be in the arena", n)
	}
	return s.ring.Input(int(n)), nil
}

// reply sends a RESULT with the output, or tells the host that this is in the arena. more
// says that other calls are known to follow.
func (s *server) reply(h wire.Header, output *chunks, more bool) error {
	if !output.placed && more {
		return s.out.WriteQuietly(h, output.parts...)
	}
	if !output.placed {
		return s.out.Write(h, output.parts...)
	}
	h.Flags |= wire.FlagArena
	s.ring.Sent()
	return s.out.Write(h, binary.LittleEndian.AppendUint64(s.size[:0], output.size))
}
