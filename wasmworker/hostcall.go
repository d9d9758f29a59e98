package wasmworker

import (
	"context"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/wire"
)

// hostCallCost is what a host function leaves behind for the garbage collector
// besides its answer, at most, in bytes.
const hostCallCost = 2 * wire.HeaderSize

// guestHostCall is host_call(name, length, input, length) -> status.
func (s *server) guestHostCall(_ context.Context, m api.Module, stack []uint64) {
	name := s.view(m, "host_call", api.DecodeU32(stack[0]), api.DecodeU32(stack[1]))
	input := s.view(m, "host_call", api.DecodeU32(stack[2]), api.DecodeU32(stack[3]))
	s.call.lives()
	stack[0] = api.EncodeU32(s.callHost(name, input))
}

// guestHostSize is host_size() -> bytes of the last answer.
func (s *server) guestHostSize(_ context.Context, _ api.Module, stack []uint64) {
	s.call.lives()
	stack[0] = api.EncodeU32(uint32(s.call.answer.size))
}

// guestHostRead is host_read(pointer, offset, length) -> copied.
func (s *server) guestHostRead(_ context.Context, m api.Module, stack []uint64) {
	pointer, offset, length := api.DecodeU32(stack[0]), api.DecodeU32(stack[1]), api.DecodeU32(stack[2])
	dst := s.view(m, "host_read", pointer, length)
	s.call.lives()
	stack[0] = api.EncodeU32(s.deliver(&s.call.answer, dst, uint64(offset)))
}

// callHost has the host run the named function and keeps its answer for the
// guest. The name and the input are the guest's memory.
func (s *server) callHost(name, input []byte) (status uint32) {
	c := s.call
	number, why := c.granted(name)
	if why != "" {
		s.heap.note(hostCallCost + len(why))
		c.answer = inMemory(append(c.answer.bytes[:0], why...))
		return guestabi.HostMissing
	}
	if most := c.slot.Output; uint64(len(input)) > most {
		s.end(limitFailure(guestabi.LimitOutput, most, uint64(len(input))))
	}
	if c.hostLeft == 0 {
		s.end(limitFailure(guestabi.LimitHostCalls, c.slot.HostCalls, c.slot.HostCalls+1))
	}
	c.hostLeft--
	s.heap.note(hostCallCost)
	status, err := s.askHost(number, input)
	if err != nil {
		s.end(internalFailure(err))
	}
	if f := c.stopped(); f != nil {
		s.end(f) // its time has run out meanwhile
	}
	return status
}

// granted returns the number of a host function that the slot's calls may call,
// or a text that says why there is none.
func (c *call) granted(name []byte) (number uint32, why string) {
	if c.deaf {
		return 0, "host functions cannot be called now"
	}
	if len(name) > guestabi.MaxHostName {
		return 0, fmt.Sprintf("a host function's name has %d bytes at most, this one %d", guestabi.MaxHostName, len(name))
	}
	i := slices.IndexFunc(c.slot.Host, func(granted string) bool { return granted == string(name) })
	if i < 0 {
		return 0, fmt.Sprintf("host function %q is not granted to this function", name)
	}
	return wire.HostFirst + uint32(i), ""
}

// askHost exchanges the frames of one host function.
func (s *server) askHost(number uint32, input []byte) (status uint32, err error) {
	ret, err := s.hostCall(wire.Header{Slot: number}, input, wire.MaxPayload)
	if err != nil {
		return 0, err
	}
	switch ret.Code {
	case wire.HostOK:
		status = guestabi.HostOK
	case wire.HostFailed:
		status = guestabi.HostFailed
	case wire.HostStopped:
		s.end(s.call.stoppedByHost())
	default:
		return 0, fmt.Errorf("host answered with code %d", ret.Code)
	}
	return status, s.readAnswer(ret)
}

// readAnswer reads an answer in place of the last one, in its memory if that is large enough,
// unless it is in the arena. As with inputs the buffer is made at once.
func (s *server) readAnswer(h wire.Header) error {
	c := s.call
	if h.Flags&wire.FlagArena != 0 {
		size, err := s.placedSize(h)
		c.answer = incoming{}
		if err == nil {
			c.answer = shown(s.ring.Answer, wire.ShowAnswer, size)
		}
		return err
	}
	n, buf := int(h.Length), c.answer.bytes
	c.answer = incoming{}
	if cap(buf) < n {
		s.heap.note(n)
		buf = make([]byte, n)
	}
	b, err := s.r.Payload(buf[:n])
	c.answer = inMemory(b)
	return err
}

// hostCall asks the host to run one of its functions for the current call and
// returns the answer's header; the caller reads its payload of up to most bytes.
// Calls that the host has sent ahead may come first. Only the guest's own goroutine
// calls it.
func (s *server) hostCall(h wire.Header, payload []byte, most uint32) (wire.Header, error) {
	h.Type, h.ID = wire.TypeHostCall, s.call.id
	if err := s.writeHostCall(h, payload); err != nil {
		return wire.Header{}, err
	}
	for {
		ret, err := s.r.Next(wire.Limits{{Type: wire.TypeHostRet, Max: most}, {Type: wire.TypeCall, Max: maxBacklog}})
		if err != nil {
			return wire.Header{}, err
		}
		if ret.Type == wire.TypeCall {
			if err := s.backlog.read(ret, s.r); err != nil {
				return wire.Header{}, err
			}
			continue
		}
		if ret.ID != h.ID {
			return wire.Header{}, fmt.Errorf("host answered call %d instead of %d", ret.ID, h.ID)
		}
		return ret, nil
	}
}

// writeHostCall writes a HOSTCALL. A large payload goes through the arena, unless a part of the
// output is waiting there; but a log line, whose flags say something else.
func (s *server) writeHostCall(h wire.Header, payload []byte) error {
	if s.ring != nil && h.Slot != wire.HostLog && len(payload) >= wire.ArenaFrom && !s.call.output.staged {
		return s.out.Place(h, s.ring, nil, payload)
	}
	return s.out.Write(h, payload)
}
