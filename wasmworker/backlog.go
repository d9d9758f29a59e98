package wasmworker

import (
	"errors"
	"fmt"

	"github.com/sandpool/sandpool/internal/wire"
)

// Bounds of a backlog. The host leaves no more than 32 KiB unread in the pipe, and
// what a waiting worker reads of it counts until its call has begun.
const (
	maxBacklog       = 64 << 10 // bytes of input
	maxBacklogFrames = 1 << 10
)

// A backlog is the calls that were read while the worker waited for its host to
// answer the running guest. They are served in order before the next frame is
// read. Its zero value is empty.
type backlog struct {
	calls []pending
	next  int // of calls, to be served
	size  int // bytes of input in calls
}

// A pending call is a CALL frame with its payload.
type pending struct {
	wire.Header

	input []byte
}

// read takes a CALL's payload out of the pipe.
func (b *backlog) read(h wire.Header, r *wire.Reader) error {
	if b.next == maxBacklogFrames { // it has not been empty for long
		n := copy(b.calls, b.calls[b.next:])
		clear(b.calls[n:])
		b.calls, b.next = b.calls[:n], 0
	}
	if len(b.calls)-b.next == maxBacklogFrames {
		return fmt.Errorf("more than %d calls sent ahead", maxBacklogFrames)
	}
	if h.Flags&wire.FlagArena != 0 {
		return errors.New("a call was sent ahead whose input is in the arena") // there is one input there at a time
	}
	if b.size += int(h.Length); b.size > maxBacklog {
		return fmt.Errorf("more than %d bytes sent ahead", maxBacklog)
	}
	input, err := r.Payload(make([]byte, h.Length))
	if err != nil {
		return fmt.Errorf("read CALL: %w", err)
	}
	b.calls = append(b.calls, pending{h, input})
	return nil
}

// pop removes the first call, if there is one.
func (b *backlog) pop() (pending, bool) {
	if b.next == len(b.calls) {
		*b = backlog{}
		return pending{}, false
	}
	p := b.calls[b.next]
	b.calls[b.next].input = nil
	b.size -= len(p.input)
	b.next++
	return p, true
}
