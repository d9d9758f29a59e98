package wasmworker

// chunks are an output as the guest writes it. They never move: a buffer that
// grows by copying would leave garbage that nothing collects while a guest runs.
type chunks struct {
	parts [][]byte
	size  uint64
}

// Bounds of one chunk, in bytes, unless a single write is larger.
const (
	firstChunk   = 4 << 10
	largestChunk = 16 << 20
)

// reset empties the output. It keeps a first chunk that is not large for the next.
func (c *chunks) reset() {
	c.size = 0
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
