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
	stack[0] = api.EncodeU32(uint32(len(s.call.answer)))
}

// guestHostRead is host_read(pointer, offset, length) -> copied.
func (s *server) guestHostRead(_ context.Context, m api.Module, stack []uint64) {
	pointer, offset, length := api.DecodeU32(stack[0]), api.DecodeU32(stack[1]), api.DecodeU32(stack[2])
	dst := s.view(m, "host_read", pointer, length)
	s.call.lives()
	stack[0] = api.EncodeU32(copyFrom(dst, s.call.answer, offset))
}

// callHost has the host run the named function and keeps its answer for the
// guest. The name and the input are the guest's memory.
func (s *server) callHost(name, input []byte) (status uint32) {
	c := s.call
	number, why := c.granted(name)
	if why != "" {
		s.heap.note(hostCallCost + len(why))
		c.answer = append(c.answer[:0], why...)
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
	return status, s.readAnswer(int(ret.Length))
}

// readAnswer reads an answer of n bytes in place of the last one, in its memory if
// that is large enough. As with inputs the buffer is made at once.
func (s *server) readAnswer(n int) error {
	c := s.call
	if cap(c.answer) < n {
		c.answer = nil
		s.heap.note(n)
		c.answer = make([]byte, n)
	}
	var err error
	c.answer, err = s.r.Payload(c.answer[:n])
	return err
}

// hostCall asks the host to run one of its functions for the current call and
// returns the answer's header; the caller reads its payload of up to most bytes.
// Calls that the host has sent ahead may come first. Only the guest's own goroutine
// calls it.
func (s *server) hostCall(h wire.Header, payload []byte, most uint32) (wire.Header, error) {
	h.Type, h.ID = wire.TypeHostCall, s.call.id
	if err := s.out.Write(h, payload); err != nil {
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

// copyFrom copies what src has from the offset on.
func copyFrom(dst, src []byte, offset uint32) uint32 {
	if uint64(offset) >= uint64(len(src)) {
		return 0
	}
	return uint32(copy(dst, src[offset:]))
}
