package msgpack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxNesting is how deep arrays and maps may be nested, as in Sandpool's CBOR.
const maxNesting = 256

var (
	errNesting = fmt.Errorf("nested deeper than %d levels", maxNesting)
	errText    = errors.New("text that is not UTF-8")
	errMore    = errors.New("bytes after the value")
	errUnused  = errors.New("byte 0xc1 has no meaning")
)

// check walks over one value, so that the decoder behind it, which trusts lengths and
// recurses without a bound, finds nothing that could hurt.
func check(data []byte) error {
	w := walker{data}
	if err := w.value(0); err != nil {
		return err
	}
	if len(w.rest) > 0 {
		return errMore
	}
	return nil
}

// A walker is what has not been walked over yet.
type walker struct{ rest []byte }

// take returns the next n bytes.
func (w *walker) take(n uint64) ([]byte, error) {
	if n > uint64(len(w.rest)) {
		return nil, io.ErrUnexpectedEOF
	}
	b := w.rest[:n]
	w.rest = w.rest[n:]
	return b, nil
}

// number reads a big-endian number of 1, 2 or 4 bytes.
func (w *walker) number(size uint64) (uint64, error) {
	b, err := w.take(size)
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[8-size:], b)
	return binary.BigEndian.Uint64(wide[:]), nil
}

// value walks over one value below depth containers. The formats are those of the
// MessagePack specification.
func (w *walker) value(depth int) error {
	b, err := w.take(1)
	if err != nil {
		return err
	}
	switch c := b[0]; {
	case c <= 0x7f, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3: // small integers, nil, booleans
		return nil
	case c <= 0x8f:
		return w.values(2*uint64(c&0x0f), depth)
	case c <= 0x9f:
		return w.values(uint64(c&0x0f), depth)
	case c <= 0xbf:
		return w.text(uint64(c & 0x1f))
	default:
		return w.sized(c, depth)
	}
}

// sized walks over the value behind a first byte from 0xc1 to 0xdf.
func (w *walker) sized(c byte, depth int) error {
	switch c {
	case 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9: // bin, ext
		first, extra := byte(0xc4), uint64(0)
		if c >= 0xc7 {
			first, extra = 0xc7, 1 // the type of an ext
		}
		n, err := w.number(1 << (c - first))
		if err == nil {
			_, err = w.take(n + extra)
		}
		return err
	case 0xca, 0xcb: // float
		_, err := w.take(4 << (c - 0xca))
		return err
	case 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3: // uint, int
		_, err := w.take(1 << (c & 3))
		return err
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8: // fixext
		_, err := w.take(1 + 1<<(c-0xd4))
		return err
	case 0xd9, 0xda, 0xdb: // str
		n, err := w.number(1 << (c - 0xd9))
		if err != nil {
			return err
		}
		return w.text(n)
	case 0xdc, 0xdd, 0xde, 0xdf: // array, map
		n, err := w.number(2 << (c & 1))
		if err != nil {
			return err
		}
		if c >= 0xde {
			n *= 2
		}
		return w.values(n, depth)
	default:
		return errUnused
	}
}

// text walks over n bytes of a string.
func (w *walker) text(n uint64) error {
	b, err := w.take(n)
	if err == nil && !utf8.Valid(b) {
		err = errText
	}
	return err
}

// values walks over the n values of a container, each of at least a byte.
func (w *walker) values(n uint64, depth int) error {
	if depth >= maxNesting {
		return errNesting
	}
	if n > uint64(len(w.rest)) {
		return io.ErrUnexpectedEOF
	}
	for ; n > 0; n-- {
		if err := w.value(depth + 1); err != nil {
			return err
		}
	}
	return nil
}
