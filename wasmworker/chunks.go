package wasmworker

import (
	"bytes"

	"github.com/sandpool/sandpool/internal/wire"
)

// chunks are an output as the guest writes it. They never move: a buffer that
// grows by copying would leave garbage that nothing collects while a guest runs.
//
// An output of a call that is large goes into the arena at once where there is one: what is written in
// large pieces is sent to the host while it is written, the rest is staged until the call is over.
type chunks struct {
	parts [][]byte // on the heap
	size  uint64   // of all, wherever it is

	s      *server // whose arena is used; nil for none
	staged bool    // a part of it is there and not sent
	late   bool    // it is not staged: the host was still at the output before
}

// sendFrom is how many bytes a guest has to write at a time for them to be sent while it does:
// several of the pieces in which that is done.
const sendFrom = 2 << 20

// Bounds of one chunk, in bytes, unless a single write is larger.
const (
	firstChunk   = 4 << 10
	largestChunk = 16 << 20
)

// reset empties the output. It keeps a first chunk that is not large for the next.
func (c *chunks) reset() {
	c.drop()
	c.size, c.s, c.late = 0, nil, false
	if len(c.parts) == 0 {
		return
	}
	first := c.parts[0][:0]
	clear(c.parts)
	if c.parts = c.parts[:0]; cap(first) <= keepBuffer {
		c.parts = append(c.parts, first)
	}
}

// drop takes back what is staged.
func (c *chunks) drop() {
	if c.staged {
		c.s.ring.Drop()
		c.staged = false
	}
}

// empty keeps the chunks' memory and nothing in it.
func (c *chunks) empty() {
	for i := range c.parts {
		c.parts[i] = c.parts[i][:0]
	}
}

// onHeap is how many bytes there are outside the arena.
func (c *chunks) onHeap() (n uint64) {
	for _, p := range c.parts {
		n += uint64(len(p))
	}
	return n
}

// add appends a copy of p.
func (c *chunks) add(p []byte) {
	c.size += uint64(len(p))
	if c.s != nil && c.place(p) {
		return
	}
	if n := len(c.parts); n > 0 {
		last := c.parts[n-1]
		fits := min(cap(last)-len(last), len(p))
		c.parts[n-1] = append(last, p[:fits]...)
		p = p[fits:]
	}
	if len(p) == 0 {
		return
	}
	room := max(firstChunk, len(p))
	if n := len(c.parts); n > 0 {
		room = max(len(p), min(2*cap(c.parts[n-1]), largestChunk))
	}
	c.parts = append(c.parts, append(make([]byte, 0, room), p...))
}

// place is add for an output that goes into the arena. It reports whether this one does.
func (c *chunks) place(p []byte) bool {
	if len(p) < sendFrom {
		if c.size < wire.ArenaFrom || c.late {
			return false
		}
		if c.stage(p) {
			return true
		}
		if !c.staged {
			c.late = true
			return false
		}
	}
	c.s.sendOutput(c, p)
	c.staged = false
	c.empty()
	return true
}

// stage stages p, behind what was too small for that before.
func (c *chunks) stage(p []byte) bool {
	if c.staged {
		return c.s.ring.Stage(p)
	}
	for _, part := range c.parts {
		if !c.s.ring.Stage(part) {
			c.s.ring.Drop()
			return false
		}
	}
	if !c.s.ring.Stage(p) {
		c.s.ring.Drop()
		return false
	}
	c.staged = true
	c.empty()
	return true
}

// text returns a copy of an output that is on the heap, as one.
func (c *chunks) text() []byte { return bytes.Join(c.parts, nil) }
