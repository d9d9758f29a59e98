package serialize

import (
	"fmt"
	"reflect"
)

// A BoundError reports that decoding was refused because of the memory that the
// value would take.
//
// It is estimated for the codecs named cbor and json, and for those that are a
// [Bounder], by walking the data along the Go type: slices with their elements,
// maps with their tables, what pointers point to, strings and bytes, embedded
// structs, what an item needs that becomes an any, and with reducers the type
// and its twin. The estimate is meant to be an upper one of what is in use at once;
// with the garbage of decoding, this package's tests allow twice as much in total
// for CBOR, and three times for JSON, whose decoder lets slices grow. Items of
// a wrong type make an error each on top, of which only the first is kept.
//
// What types with their own methods and restore functions allocate is theirs:
// twice the size of their data is counted. The data of other codecs is bounded by
// its size alone.
type BoundError struct {
	Max  int64 // bytes that the value may take
	Need int64 // bytes that it takes at least, by estimate: the walk ends beyond Max
}

// Error gives both numbers.
func (e *BoundError) Error() string {
	return fmt.Sprintf("the value takes %d bytes of memory or more, %d are allowed", e.Need, e.Max)
}

// A Bounder is a codec that can tell how much memory a value will take.
type Bounder interface {
	// Bound returns an upper estimate, in bytes, of what decoding data into v
	// allocates. It must itself allocate little, whatever data holds, may ignore
	// data that Decode refuses before it allocates, and must be safe for
	// concurrent use.
	Bound(data []byte, v any) int64
}

// Costs of what Go allocates, in bytes.
const (
	costItem   = 16  // an item in an interface, beside the interface: numbers, headers
	costString = 16  // a string's or slice's own allocation, beyond its bytes
	costMap    = 64  // a map without any pair
	costTag    = 64  // a tag in an interface
	costKey    = 64  // a key without a field, which is kept to find its double
	costKeys   = 256 // the first such key of a struct
	costRaw    = 160 // a value of a recursive type with reducers, decoded by itself
	costBigInt = 64  // an integer too large for int64
	costAnyMax = 480 // an item in an interface at most, beside its bytes: a map of one pair
	maxBound   = 1 << 50
)

// bound returns a *BoundError if data, decoded into v in the place of a t, takes
// more than limit bytes.
func (r *Reducers) bound(c Codec, data []byte, v any, t reflect.Type, limit int64) error {
	var need int64
	if b, ok := c.(Bounder); ok {
		need = b.Bound(data, v)
	} else if r.shape(t).exceeds(int64(len(data)), limit) {
		need = r.estimate(c.Name(), data, t, limit)
	}
	if need > limit {
		return &BoundError{Max: limit, Need: need}
	}
	return nil
}

// estimate returns what a t decoded from data takes, or a part of it that exceeds
// limit. It is 0 if that is not known.
func (r *Reducers) estimate(codec string, data []byte, t reflect.Type, limit int64) int64 {
	s := r.shape(t)
	switch codec {
	case "cbor":
		b := cborBound{data: data, limit: limit, need: s.size}
		b.item(s, 0)
		return b.need
	case "json":
		b := jsonBound{data: data, limit: limit, need: s.size}
		b.value(s, 0)
		return b.need
	default:
		return 0
	}
}

// exceeds reports whether n bytes of data can take more than limit, whatever they
// are: if not, nothing needs to be walked.
func (s *shape) exceeds(n, limit int64) bool {
	return s.size+s.worst > limit || n > (limit-s.size-s.worst)/s.worst
}

// pairs returns what a map of n pairs takes: groups of eight slots that are
// seven eighths full at most, in tables of a power of two.
func pairs(n, slot int64) int64 {
	switch {
	case n == 0:
		return costMap
	case n <= 8:
		return costMap + 8 + 8*slot
	default:
		return costMap + n*pairCost(slot)
	}
}

func pairCost(slot int64) int64 { return 5*(slot+1)/2 + 8 }
