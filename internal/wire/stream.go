package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
)

// small is the largest frame that travels in one write with its header.
const small = 32 << 10

// keep is the largest buffer that a Writer keeps between writes.
const keep = 2 * (HeaderSize + small)

// A Writer writes frames. It is for one goroutine.
type Writer struct {
	w   io.Writer
	buf []byte // frames that were appended and not written yet
}

// NewWriter returns a Writer on w, whose Write must be blocking and complete
// (os.File's is).
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: w, buf: make([]byte, 0, 512)}
}

// Write sends one frame; its payload is the parts together and sets h.Length. A
// frame of up to 32 KiB is one write, a larger one a write for the header and one
// for each part. Frames that [Writer.Append] has left are sent ahead of it, in its
// first write.
func (w *Writer) Write(h Header, parts ...[]byte) error {
	total := 0
	for _, p := range parts {
		total += len(p)
	}
	if uint64(total) > MaxPayload {
		return &FrameError{Type: h.Type, Length: MaxPayload, Max: MaxPayload}
	}
	h.Length = uint32(total)
	if total <= small {
		w.add(h, total, parts...)
		return w.Flush()
	}
	w.add(h, 0)
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range parts {
		if len(p) == 0 {
			continue
		}
		if _, err := w.w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// WriteHeader sends a header as it is: its payload travels elsewhere.
func (w *Writer) WriteHeader(h Header) error {
	at := len(w.buf)
	w.add(h, 0)
	h.put(w.buf[at:])
	return w.Flush()
}

// Append adds a frame, whose payload is copied, to what the next [Writer.Flush] or
// [Writer.Write] sends. The buffer grows as it must: it is for small frames, and
// how many may wait is the caller's to bound.
func (w *Writer) Append(h Header, payload []byte) {
	if uint64(len(payload)) > MaxPayload {
		panic("wire: Append of more than a frame may hold")
	}
	h.Length = uint32(len(payload))
	w.add(h, len(payload), payload)
}

// Flush sends all appended frames in one write. Without any it does nothing. What
// it could not send is dropped: a stream that broke inside a frame is of no more
// use.
func (w *Writer) Flush() error {
	b := w.buf
	w.buf = w.buf[:0]
	if cap(w.buf) > keep {
		w.buf = make([]byte, 0, HeaderSize+small)
	}
	if len(b) == 0 {
		return nil
	}
	_, err := w.w.Write(b)
	return err
}

// add appends a header and the size bytes of a payload to the buffer.
func (w *Writer) add(h Header, size int, parts ...[]byte) {
	at := len(w.buf)
	if need := HeaderSize + size; cap(w.buf)-at < need {
		if at == 0 && need <= HeaderSize+small {
			w.buf = make([]byte, 0, HeaderSize+small) // at once, as other frames will want it
		} else {
			w.buf = slices.Grow(w.buf, need)
		}
	}
	w.buf = w.buf[:at+HeaderSize]
	h.put(w.buf[at:])
	for _, p := range parts {
		w.buf = append(w.buf, p...)
	}
}

// WriteChunks sends data as frames of at most MaxChunk bytes each.
func (w *Writer) WriteChunks(h Header, data []byte) error {
	for len(data) > 0 {
		n := min(len(data), MaxChunk)
		if err := w.Write(h, data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// A Reader reads frames. It is for one goroutine.
type Reader struct {
	r      *bufio.Reader
	arena  Arena // nil for none
	header [HeaderSize]byte
	left   uint32 // payload bytes of the last header not read yet
	placed bool   // they are in the arena
}

// An Arena is where the payloads of frames with [FlagArena] are, one after another.
type Arena interface {
	io.Reader
	Buffered() int     // how many bytes Read has at once
	Copy(n int) []byte // reads n bytes into new memory, if they are there; nil otherwise
	End()              // a payload has been read
}

// NewReader returns a Reader on r.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, small+HeaderSize)}
}

// UseArena has payloads with FlagArena read from there.
func (r *Reader) UseArena(a Arena) { r.arena = a }

// Next reads the next header. limits maps each type that may come now to the
// largest payload it may have, in bytes; anything else is a [*FrameError]. The
// payload must be read before the next Next. A clean end between frames is
// io.EOF; an end inside one is io.ErrUnexpectedEOF.
func (r *Reader) Next(limits Limits) (Header, error) {
	if r.left > 0 {
		return Header{}, fmt.Errorf("wire: %d payload bytes left unread", r.left)
	}
	if _, err := io.ReadFull(r.r, r.header[:]); err != nil {
		return Header{}, err
	}
	if v := r.header[4]; v != Version {
		return Header{}, &VersionError{Got: v}
	}
	h := parse(r.header[:])
	limit, ok := limits.of(h.Type)
	switch {
	case !ok:
		return Header{}, &FrameError{Type: h.Type, Length: h.Length}
	case h.Length > limit:
		return Header{}, &FrameError{Type: h.Type, Length: h.Length, Max: limit}
	}
	r.left, r.placed = h.Length, r.inArena(h)
	return h, nil
}

func (r *Reader) inArena(h Header) bool { return r.arena != nil && h.Flags&FlagArena != 0 }

// Read reads some of the last header's payload, at least one byte unless p is empty or
// nothing is left, which is io.EOF.
func (r *Reader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(len(p), int(r.left))]
	if !r.placed {
		n, err := r.r.Read(p)
		r.left -= uint32(n)
		return n, unexpected(err)
	}
	n, err := r.arena.Read(p)
	if r.left -= uint32(n); r.left == 0 {
		r.arena.End()
	}
	return n, unexpected(err)
}

// Payload reads the last header's payload into buf when it fits its capacity,
// else into a new buffer. The buffer starts at no more than 1 MiB and doubles as
// bytes arrive, so a peer pays for what it makes us allocate.
func (r *Reader) Payload(buf []byte) ([]byte, error) {
	n := int(r.left)
	if cap(buf) >= n {
		buf = buf[:n]
		return buf, r.fill(buf)
	}
	if r.placed {
		if b := r.arena.Copy(n); b != nil {
			r.left = 0
			r.arena.End()
			return b, nil
		}
	}
	buf = make([]byte, min(n, 1<<20))
	for at := 0; ; {
		if err := r.fill(buf[at:]); err != nil {
			return nil, err
		}
		if len(buf) == n {
			return buf, nil
		}
		at = len(buf)
		next := make([]byte, min(n, 2*at))
		copy(next, buf)
		buf = next
	}
}

// Ready reports how much of the next frame can be read without waiting, and its header
// unless that is Nothing; more is how many bytes the underlying reader has at once. What the
// header says has not been checked. The payload before must have been read.
func (r *Reader) Ready(more int) (Header, Readiness) {
	n := r.r.Buffered() + more
	if n < HeaderSize || r.left > 0 {
		return Header{}, Nothing
	}
	b, err := r.r.Peek(HeaderSize)
	if err != nil {
		return Header{}, Nothing
	}
	h := parse(b)
	if r.inArena(h) {
		n = HeaderSize + r.arena.Buffered()
	}
	if uint64(n) < HeaderSize+uint64(h.Length) {
		return h, HeaderOnly
	}
	return h, Whole
}

// Await waits until the next frame has begun to come: until its header is there, and its
// payload as well if both fit the buffer and it is not in an arena. The payload before must have been read. It
// returns the errors that Next and Payload would, those of the stream alone.
func (r *Reader) Await() error {
	b, err := r.r.Peek(HeaderSize)
	if err != nil {
		if len(b) > 0 {
			err = unexpected(err)
		}
		return err
	}
	if h := parse(b); !r.inArena(h) && h.Length <= uint32(r.r.Size()-HeaderSize) {
		_, err = r.r.Peek(HeaderSize + int(h.Length))
	}
	return unexpected(err)
}

// A Readiness is how much of a frame is there.
type Readiness int

// The answers of [Reader.Ready].
const (
	Nothing    Readiness = iota // less than a header
	HeaderOnly                  // a header, and not all of its payload
	Whole
)

// Discard skips the last header's payload.
func (r *Reader) Discard() error {
	if r.placed {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	n, err := r.r.Discard(int(r.left))
	r.left -= uint32(n)
	return unexpected(err)
}

func (r *Reader) fill(b []byte) error {
	_, err := io.ReadFull(r, b)
	return unexpected(err)
}

// unexpected turns the end of the stream inside a frame into what it is.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Limits says which frames may come and how large their payloads may be. It is
// a short list, searched in order.
type Limits []Limit

// A Limit allows one type up to Max payload bytes.
type Limit struct {
	Type Type
	Max  uint32
}

func (l Limits) of(t Type) (uint32, bool) {
	for _, e := range l {
		if e.Type == t {
			return e.Max, true
		}
	}
	return 0, false
}
