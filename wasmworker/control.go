package wasmworker

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/sandpool/sandpool/internal/ring"
	"github.com/sandpool/sandpool/internal/wire"
)

// Bounds of what a host may revoke. A host that breaks one is broken itself.
const (
	maxRevoke  = 1 << 10 // calls of one REVOKE
	maxDropped = 1 << 10 // REVOKEs whose calls have not all come out of the pipe
)

// A ledger says which calls may still begin. The goroutine that runs calls and the
// one that reads the control pipe share it.
type ledger struct {
	mu      sync.Mutex // guards the fields below; never held across I/O
	taken   uint64     // the last call that was begun, or found dropped
	dropped []span     // calls that are not to begin
}

// A span is the calls from first to last.
type span struct{ first, last uint64 }

// take reports whether the call may begin. After that it can no longer be
// revoked.
func (l *ledger) take(id uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = max(l.taken, id)
	dropped := slices.ContainsFunc(l.dropped, func(s span) bool { return s.first <= id && id <= s.last })
	// Ids only grow: what lies behind cannot come any more.
	l.dropped = slices.DeleteFunc(l.dropped, func(s span) bool { return s.last <= id })
	return !dropped
}

// revoke drops those of n calls from the given one on that have not begun. It
// returns the first of them, or the first that could have been, and how many.
func (l *ledger) revoke(from uint64, n uint32) (first uint64, count uint32, err error) {
	last := from + uint64(n) - 1
	if from == 0 || n == 0 || n > maxRevoke || last < from {
		return 0, 0, fmt.Errorf("revocation of %d calls from %d on", n, from)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if last <= l.taken {
		return l.taken + 1, 0, nil
	}
	first = max(from, l.taken+1)
	if len(l.dropped) == maxDropped {
		return 0, 0, errors.New("too many revocations of calls that never came")
	}
	l.dropped = append(l.dropped, span{first, last})
	return first, uint32(last - first + 1), nil
}

// controlLimits are the frames that may come through the control pipe.
var controlLimits = wire.Limits{{Type: wire.TypeRevoke, Max: 0}, {Type: wire.TypeStop, Max: 0}}

// serveControl answers what comes through the control pipe until it ends, which is
// the host's wish, or death. It runs while a guest does, which nothing can
// preempt: so nothing here may wait for the guest's goroutine to stop, as a
// garbage collection would.
func serveControl(pipe io.Reader, calls *ledger, out *replies, dog *watchdog) error {
	r := wire.NewReader(pipe)
	for {
		h, err := r.Next(controlLimits)
		if err == io.EOF { //nolint:errorlint // Reader.Next returns a bare io.EOF between frames
			return nil
		}
		if err != nil {
			return fmt.Errorf("control pipe: %w", err)
		}
		if h.Type == wire.TypeStop {
			dog.stop(h.ID)
			continue
		}
		if err := out.writeRevoked(calls, h); err != nil {
			return err
		}
	}
}

// replies are the reply pipe, into which two goroutines write whole frames.
type replies struct {
	mu sync.Mutex // guards w; held while a frame is written, never while a guest runs
	w  *wire.Writer

	ring *ring.Ring // what w writes to; nil for a pipe
}

func newReplies(w io.Writer) *replies { return &replies{w: wire.NewWriter(w)} }

// moveTo has all frames to come go to a ring.
func (r *replies) moveTo(to *ring.Ring) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.w, r.ring = wire.NewWriter(to), to
}

// WriteQuietly sends one frame and leaves the host asleep, where that can be.
func (r *replies) WriteQuietly(h wire.Header, parts ...[]byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ring != nil {
		r.ring.Quiet(true)
		defer r.ring.Quiet(false)
	}
	return r.w.Write(h, parts...)
}

// Place sends one frame whose payload travels through the arena: what was staged there,
// then the parts, then p. Only the guest's own goroutine calls it.
func (r *replies) Place(h wire.Header, to *ring.Ring, parts [][]byte, p []byte) error {
	staged := to.Staged()
	total := staged + len(p)
	for _, p := range parts {
		total += len(p)
	}
	if total > wire.MaxPayload {
		return &wire.FrameError{Type: h.Type, Length: wire.MaxPayload, Max: wire.MaxPayload}
	}
	h.Flags |= wire.FlagArena
	h.Length = uint32(total)
	if total == staged {
		if err := to.Send(nil, nil); err != nil {
			return err
		}
		return r.writeHeader(h)
	}
	if err := r.writeHeader(h); err != nil { // at first, so that the host reads while we write
		return err
	}
	return to.Send(parts, p)
}

func (r *replies) writeHeader(h wire.Header) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.w.WriteHeader(h)
}

// Write sends one frame.
func (r *replies) Write(h wire.Header, parts ...[]byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.w.Write(h, parts...)
}

// writeRevoked answers a REVOKE. Nothing is written between the revocation and its
// answer: what a call behind a dropped one has to say would come before the host
// knows of the drop.
func (r *replies) writeRevoked(calls *ledger, h wire.Header) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	first, count, err := calls.revoke(h.ID, h.Code)
	if err != nil {
		return fmt.Errorf("control pipe: %w", err)
	}
	if err := r.w.Write(wire.Header{Type: wire.TypeRevoked, ID: first, Code: count}); err != nil {
		return fmt.Errorf("answer REVOKE: %w", err)
	}
	return nil
}

// WriteChunks sends data as frames of at most wire.MaxChunk bytes.
func (r *replies) WriteChunks(h wire.Header, data []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.w.WriteChunks(h, data)
}
