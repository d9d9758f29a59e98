package serialize

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/sandpool/sandpool/internal/cborcodec"
)

// Major types of RFC 8949.
const (
	majorUint = iota
	majorInt
	majorBytes
	majorText
	majorArray
	majorMap
	majorTag
	majorSimple
)

// A cborBound sums up what a value decoded from data takes. It stops where data
// is not well-formed, or deeper than the decoder takes: the decoder checks that
// before it allocates anything.
type cborBound struct {
	data  []byte
	off   int
	need  int64
	limit int64
}

// add counts n bytes, and reports whether the walk should go on.
func (b *cborBound) add(n int64) bool {
	b.need += n
	return b.need <= b.limit
}

// head reads the first bytes of an item.
func (b *cborBound) head() (major byte, arg uint64, ok bool) {
	if b.off >= len(b.data) {
		return 0, 0, false
	}
	first := b.data[b.off]
	b.off++
	major, info := first>>5, first&31
	if info < 24 {
		return major, uint64(info), true
	}
	if info > 27 { // of indefinite length, or reserved
		return 0, 0, false
	}
	size := 1 << (info - 24)
	if len(b.data)-b.off < size {
		return 0, 0, false
	}
	var wide [8]byte
	copy(wide[8-size:], b.data[b.off:b.off+size])
	b.off += size
	return major, binary.BigEndian.Uint64(wide[:]), true
}

// left returns the number of bytes after the head.
func (b *cborBound) left() uint64 { return uint64(len(b.data) - b.off) }

// skip passes n items without counting them.
func (b *cborBound) skip(n uint64) bool {
	for ; n > 0; n-- {
		major, arg, ok := b.head()
		if !ok {
			return false
		}
		switch major {
		case majorBytes, majorText:
			if arg > b.left() {
				return false
			}
			b.off += int(arg)
		case majorArray:
			if arg > b.left() {
				return false
			}
			n += arg
		case majorMap:
			if arg > b.left()/2 {
				return false
			}
			n += 2 * arg
		case majorTag:
			n++
		}
	}
	return true
}

func (b *cborBound) null() bool {
	return b.off < len(b.data) && (b.data[b.off] == 0xf6 || b.data[b.off] == 0xf7)
}

// item counts the next item, for s. It reports whether the walk goes on.
func (b *cborBound) item(s *shape, depth int) bool {
	if depth > cborcodec.MaxNesting+1 {
		return false
	}
	for n := 0; s.kind == shapePointer; n++ {
		if b.null() {
			b.off++
			return true
		}
		if !b.add(s.elem.size) || n > maxPointers {
			return false
		}
		s = s.elem
	}
	start := b.off
	major, arg, ok := b.head()
	if !ok {
		return false
	}
	if s.ownCBOR {
		b.off = start
		return b.skip(1) && b.add(costItem+2*int64(b.off-start))
	}
	switch major {
	case majorBytes, majorText:
		return b.text(s, major, arg)
	case majorArray:
		return b.array(s, arg, depth)
	case majorMap:
		return b.pairs(s, arg, depth)
	case majorTag:
		// A number too large for its type is made as a big.Int first.
		return b.add(costTag) && b.item(s, depth+1)
	case majorInt, majorUint:
		if arg > math.MaxInt64 {
			return b.add(costBigInt)
		}
	}
	if s.kind == shapeAny {
		return b.add(8)
	}
	return true
}

func (b *cborBound) text(s *shape, major byte, n uint64) bool {
	if n > b.left() {
		return false
	}
	b.off += int(n)
	switch {
	case s.kind == shapeAny:
		return b.add(2*costItem + int64(n))
	case major == majorBytes && s.kind == shapeArray:
		return true
	case s.ownJSON:
		return b.add(costItem + 2*int64(n))
	default:
		return b.add(costString + int64(n))
	}
}

func (b *cborBound) array(s *shape, n uint64, depth int) bool {
	if n > b.left() {
		return false
	}
	elem := s.elem
	switch s.kind {
	case shapeSlice, shapeBytes:
		if !b.add(costString + int64(n)*elem.size) {
			return false
		}
	case shapeAny:
		if !b.add(2*costItem + int64(n)*elem.size) {
			return false
		}
	case shapeArray:
		rest := n - min(n, uint64(s.len))
		return b.items(elem, n-rest, depth) && b.skip(rest)
	case shapeStruct:
		return b.structArray(s, n, depth)
	default:
		return b.skip(n)
	}
	return b.items(elem, n, depth)
}

func (b *cborBound) items(elem *shape, n uint64, depth int) bool {
	for ; n > 0; n-- {
		if elem.kind == shapeScalar && b.off < len(b.data) && b.data[b.off] < 24 {
			b.off++ // a small number, the most frequent of all
			continue
		}
		if !b.item(elem, depth+1) {
			return false
		}
	}
	return true
}

func (b *cborBound) structArray(s *shape, n uint64, depth int) bool {
	if n != uint64(len(s.cbor.inOrder)) {
		return b.skip(n)
	}
	if !b.add(s.cbor.embedded) {
		return false
	}
	for _, f := range s.cbor.inOrder {
		if !b.item(f, depth+1) {
			return false
		}
	}
	return true
}

func (b *cborBound) pairs(s *shape, n uint64, depth int) bool {
	if n > b.left()/2 {
		return false
	}
	switch s.kind {
	case shapeMap, shapeAny:
		if !b.add(pairs(int64(n), s.slot()) + costItem + s.slot()) { // one pair more, to decode into
			return false
		}
		for ; n > 0; n-- {
			if !b.item(s.key, depth+1) || !b.item(s.elem, depth+1) {
				return false
			}
		}
		return true
	case shapeStruct:
		return b.add(s.cbor.embedded) && b.fields(s, n, depth)
	default:
		return b.skip(2 * n)
	}
}

func (b *cborBound) fields(s *shape, n uint64, depth int) bool {
	first := int64(costKeys)
	for ; n > 0; n-- {
		f, ok := b.field(s.cbor, depth)
		if !ok {
			return false
		}
		if f != nil {
			ok = b.item(f, depth+1)
		} else {
			ok = b.add(first) && b.skip(1)
			first = 0
		}
		if !ok {
			return false
		}
	}
	return true
}

// field reads a key. Those that are no field's are kept by the decoder, to find
// their doubles.
func (b *cborBound) field(set *fieldSet, depth int) (f *shape, ok bool) {
	start := b.off
	major, arg, ok := b.head()
	switch {
	case !ok:
		return nil, false
	case major == majorText:
		if arg > b.left() {
			return nil, false
		}
		f = set.byName[string(b.data[b.off:b.off+int(arg)])]
		b.off += int(arg)
	case major == majorUint && arg <= math.MaxInt64:
		f = set.byInt[strconv.FormatInt(int64(arg), 10)]
	case major == majorInt && arg <= math.MaxInt64:
		f = set.byInt[strconv.FormatInt(^int64(arg), 10)]
	default:
		b.off = start
		if !b.item(anyShape, depth+1) {
			return nil, false
		}
	}
	if f == nil && !b.add(costKey+int64(b.off-start)) {
		return nil, false
	}
	return f, true
}
