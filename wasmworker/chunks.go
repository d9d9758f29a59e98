package wasmworker

import (
	"bytes"

	"github.com/sandpool/sandpool/internal/wire"
)

// chunks are an output as the guest writes it. They never move: a buffer that
// grows by copying would leave garbage that nothing collects while a guest runs.
type chunks struct {
	parts [][]byte
	size  uint64

	arena  []byte // shared with the host, for an output that is large; nil for none
	placed bool   // all of it is there, and parts are empty
	spilt  bool   // its beginning is there, as the first of parts
}

// Bounds of one chunk, in bytes, unless a single write is larger.
const (
	firstChunk   = 4 << 10
	largestChunk = 16 << 20
)

// reset empties the output. It keeps a first chunk that is not large for the next.
func (c *chunks) reset() {
	spilt := c.spilt
	c.size, c.arena, c.placed, c.spilt = 0, nil, false, false
	if spilt {
		c.parts = nil
	}
	if len(c.parts) == 0 {
		return
	}
	first := c.parts[0][:0]
	clear(c.parts)
	if c.parts = c.parts[:0]; cap(first) <= keepBuffer {
		c.parts = append(c.parts, first)
	}
}

// add appends a copy of p.
func (c *chunks) add(p []byte) {
	if c.arena != nil && c.place(p) {
		return
	}
	c.size += uint64(len(p))
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

// place is add for an output that is large and fits into the arena. It reports whether
// this one is and does; of one that has outgrown the arena what is there stays.
func (c *chunks) place(p []byte) bool {
	size := c.size + uint64(len(p))
	if size < wire.ArenaFrom {
		return false
	}
	if size > uint64(len(c.arena)) {
		if c.placed {
			c.parts, c.spilt = [][]byte{c.arena[:c.size:c.size]}, true
		}
		c.arena, c.placed = nil, false
		return false
	}
	if !c.placed {
		at := 0
		for _, part := range c.parts {
			at += copy(c.arena[at:], part)
		}
		for i := range c.parts {
			c.parts[i] = c.parts[i][:0]
		}
		c.placed = true
	}
	copy(c.arena[c.size:], p)
	c.size = size
	return true
}

// text returns a copy of the output as one.
func (c *chunks) text() []byte {
	if c.placed {
		return bytes.Clone(c.arena[:c.size])
	}
	return bytes.Join(c.parts, nil)
}
