package serialize

import (
	"bytes"
	"unicode/utf8"
)

// maxJSONDepth is what encoding/json takes.
const maxJSONDepth = 10_000

// A jsonBound sums up what a value decoded from data by encoding/json takes. It
// need not notice all that is not JSON: the decoder does before it allocates.
//
// Slices and maps grow as their elements come, so twice their size is counted:
// the old and the new one are there at once.
type jsonBound struct {
	data  []byte
	off   int
	need  int64
	limit int64
}

// add counts n bytes, and reports whether the walk should go on.
func (b *jsonBound) add(n int64) bool {
	b.need += n
	return b.need <= b.limit
}

// peek returns the next byte that is no space, or 0 at the end.
func (b *jsonBound) peek() byte {
	for ; b.off < len(b.data); b.off++ {
		switch c := b.data[b.off]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// next is peek, and passes the byte if it is want.
func (b *jsonBound) next(want byte) bool {
	if b.peek() != want {
		return false
	}
	b.off++
	return true
}

// value counts the next value, for s. It reports whether the walk goes on.
func (b *jsonBound) value(s *shape, depth int) bool {
	if depth > maxJSONDepth {
		return false
	}
	c := b.peek()
	for n := 0; s.kind == shapePointer; n++ {
		if c == 'n' {
			return b.word()
		}
		if !b.add(s.elem.size) || n > maxPointers {
			return false
		}
		s = s.elem
	}
	if s.ownJSON {
		start := b.off
		return b.skip() && b.add(costItem+2*int64(b.off-start))
	}
	switch c {
	case 0:
		return false
	case '"':
		return b.text(s)
	case '[':
		return b.array(s, depth)
	case '{':
		return b.object(s, depth)
	}
	start := b.off
	if !b.word() {
		return false
	}
	switch s.kind {
	case shapeAny:
		return b.add(8)
	case shapeString: // a json.Number
		return b.add(costString + int64(b.off-start))
	default:
		return true
	}
}

// word passes a number, true, false or null.
func (b *jsonBound) word() bool {
	start := b.off
	for ; b.off < len(b.data); b.off++ {
		switch b.data[b.off] {
		case ' ', '\t', '\n', '\r', ',', ']', '}', ':', '[', '{', '"':
			return b.off > start
		}
	}
	return b.off > start
}

// quoted passes a string and returns what is between its quotes.
func (b *jsonBound) quoted() (text []byte, ok bool) {
	b.off++
	start := b.off
	for {
		i := bytes.IndexByte(b.data[b.off:], '"')
		if i < 0 {
			return nil, false
		}
		b.off += i + 1
		escapes := 0
		for at := b.off - 2; at >= start && b.data[at] == '\\'; at-- {
			escapes++
		}
		if escapes%2 == 0 {
			return b.data[start : b.off-1], true
		}
	}
}

func (b *jsonBound) text(s *shape) bool {
	text, ok := b.quoted()
	if !ok {
		return false
	}
	n := int64(len(text))
	if !utf8.Valid(text) {
		n *= 3 // a wrong byte becomes U+FFFD
	}
	switch s.kind {
	case shapeAny:
		return b.add(costString + costItem + n)
	case shapeBytes:
		return b.add(costString + n + n*3/4)
	default:
		return b.add(costString + n)
	}
}

// skip passes a value without counting it.
func (b *jsonBound) skip() bool {
	for open := 0; ; {
		switch c := b.peek(); c {
		case 0:
			return false
		case '"':
			if _, ok := b.quoted(); !ok {
				return false
			}
		case '[', '{':
			b.off++
			open++
		case ']', '}':
			b.off++
			open--
		case ',', ':':
			b.off++
		default:
			if !b.word() {
				return false
			}
		}
		if open <= 0 {
			return open == 0
		}
	}
}

func (b *jsonBound) array(s *shape, depth int) bool {
	elem, each := s.elem, int64(0)
	switch s.kind {
	case shapeSlice, shapeBytes, shapeAny:
		each = 2 * elem.size
		if !b.add(2*costItem + jsonFirst*elem.size) {
			return false
		}
	case shapeArray:
	default:
		return b.skip()
	}
	b.off++
	if b.next(']') {
		return true
	}
	for i := 0; ; i++ {
		if !b.add(each) {
			return false
		}
		if s.kind == shapeArray && i >= s.len {
			if !b.skip() {
				return false
			}
		} else if !b.value(elem, depth+1) {
			return false
		}
		if !b.next(',') {
			return b.next(']')
		}
	}
}

func (b *jsonBound) object(s *shape, depth int) bool {
	var each int64
	switch s.kind {
	case shapeMap, shapeAny:
		each = 2 * pairCost(s.slot())
		if !b.add(costItem + s.slot() + pairs(1, s.slot())) {
			return false
		}
	case shapeStruct:
		if !b.add(s.json.embedded) {
			return false
		}
	default:
		return b.skip()
	}
	b.off++
	if b.next('}') {
		return true
	}
	for n := int64(1); ; n++ {
		if n == 8 && !b.add(8*each) || n > 8 && !b.add(each) { // there was room for eight
			return false
		}
		if !b.member(s, depth) {
			return false
		}
		if !b.next(',') {
			return b.next('}')
		}
	}
}

func (b *jsonBound) member(s *shape, depth int) bool {
	if b.peek() != '"' {
		return false
	}
	key, ok := b.quoted()
	if !ok || !b.next(':') {
		return false
	}
	if s.kind == shapeStruct {
		f, cost := s.json.jsonField(key)
		if !b.add(cost) {
			return false
		}
		if f == nil {
			b.peek()
			return b.skip()
		}
		return b.value(f, depth+1)
	}
	n := int64(len(key))
	if !utf8.Valid(key) {
		n *= 3
	}
	return b.add(costString+n) && b.value(s.elem, depth+1)
}
