package wasmbin

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// A reader decodes b[pos:end]. Its error is sticky: after the first one every
// method returns zero and reads nothing, so that callers check err once per
// element and not once per field. Whatever loops over a count must check it.
type reader struct {
	b   []byte // the whole file, so that pos is the offset in errors
	pos int
	end int // end of the section or body being read; at most len(b)

	section  string // for errors
	err      *Error // the first error
	features featureSet
}

// fail records an error at the current position, unless there is one already.
func (r *reader) fail(kind Kind, format string, args ...any) {
	r.failAt(r.pos, kind, format, args...)
}

// failAt is fail for a position already passed.
func (r *reader) failAt(offset int, kind Kind, format string, args ...any) {
	if r.err == nil {
		r.err = &Error{Kind: kind, Section: r.section, Offset: offset, Reason: fmt.Sprintf(format, args...)}
		r.pos = r.end // makes the fast paths fail too
	}
}

// failEnd records that what is being read stops too early.
func (r *reader) failEnd() {
	if r.section == "" {
		r.fail(Truncated, "the file ends inside a section header")
		return
	}
	r.fail(Malformed, "unexpected end: a value continues past the bytes it may use")
}

// left is the number of bytes not read yet.
func (r *reader) left() int { return r.end - r.pos }

// byte reads one byte.
func (r *reader) byte() byte {
	if r.pos >= r.end {
		r.failEnd()
		return 0
	}
	c := r.b[r.pos]
	r.pos++
	return c
}

// skip passes over n bytes. It takes an int64 so that no count read from the
// file overflows on the way here.
func (r *reader) skip(n int64) {
	if n > int64(r.left()) {
		r.failEnd()
		return
	}
	r.pos += int(n)
}

// u32 reads an unsigned LEB128 number of at most 32 bits and 5 bytes.
func (r *reader) u32() uint32 {
	if r.pos < r.end && r.b[r.pos] < 0x80 {
		r.pos++
		return uint32(r.b[r.pos-1])
	}
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		c := r.byte()
		if shift == 28 && c > 0x0f {
			r.failAt(r.pos-1, Malformed, "an unsigned number does not fit 32 bits in 5 bytes")
			return 0
		}
		v |= uint32(c&0x7f) << shift
		if c < 0x80 {
			break
		}
	}
	return v
}

// signed reads a signed LEB128 number of at most the given bits, and no more
// bytes than these need.
func (r *reader) signed(bits int) int64 {
	var v int64
	for shift := 0; ; shift += 7 {
		c := r.byte()
		v |= int64(c&0x7f) << shift
		if rest := bits - shift; rest <= 7 {
			// In the last byte only rest bits carry a value: the others must
			// repeat the sign, and nothing may follow.
			high := int8(c<<1) >> rest // 0 or -1 when they do
			if c >= 0x80 || (high != 0 && high != -1) {
				r.failAt(r.pos-1, Malformed, "a signed number does not fit %d bits in %d bytes", bits, (bits+6)/7)
				return 0
			}
		}
		if c < 0x80 {
			if c&0x40 != 0 && shift+7 < 64 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
}

// count reads the number of elements of a vector, each of which takes at least
// size bytes, and refuses a number that the bytes left cannot hold or that is
// above limit. Only after that may anything be allocated for the elements.
func (r *reader) count(what string, size, limit int) int {
	start := r.pos
	n := int64(r.u32())
	switch {
	case n > int64(r.left()/size):
		r.failAt(start, Malformed, "%d %s announced with %d bytes left", n, what, r.left())
	case n > int64(limit):
		r.failAt(start, Limit, "%d %s, the limit is %d", n, what, limit)
	default:
		return int(n)
	}
	return 0
}

// name reads a length-prefixed UTF-8 string of at most limit bytes and returns
// the bytes, which alias the file.
func (r *reader) name(what string, limit int) []byte {
	start := r.pos
	n := int64(r.u32())
	switch {
	case n > int64(r.left()):
		r.failAt(start, Malformed, "%s of %d bytes announced with %d bytes left", what, n, r.left())
		return nil
	case n > int64(limit):
		r.failAt(start, Limit, "%s of %d bytes, the limit is %d", what, n, limit)
		return nil
	}
	s := r.b[r.pos : r.pos+int(n)]
	if !utf8.Valid(s) {
		r.fail(Malformed, "%s is not valid UTF-8", what)
		return nil
	}
	r.pos += len(s)
	return s
}

// index reads an index that must be below n.
func (r *reader) index(what string, n int) uint32 {
	start := r.pos
	i := r.u32()
	if r.err == nil && int64(i) >= int64(n) {
		r.failAt(start, Malformed, "%s index %d out of range, there are %d", what, i, n)
		return 0
	}
	return i
}

// zero reads a byte that the format reserves.
func (r *reader) zero(what string) {
	if c := r.byte(); c != 0 {
		r.failAt(r.pos-1, Malformed, "%s is %#x, it must be zero", what, c)
	}
}

// need records that the module uses a proposal beyond WebAssembly 2.0.
func (r *reader) need(f featureSet) { r.features |= f }

// hasPrefix reports whether the bytes not read yet start with p.
func (r *reader) hasPrefix(p string) bool {
	return bytes.HasPrefix(r.b[r.pos:r.end], []byte(p))
}
