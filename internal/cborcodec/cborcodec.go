// Package cborcodec holds the one CBOR option set of Sandpool.
//
// A value crosses the boundary between host and guest encoded by one side and
// decoded by the other, so both take their modes from here. Encoding follows
// the core deterministic form of RFC 8949 §4.2.1: the same value always gives
// the same bytes, which lets a result be kept under its input's hash.
package cborcodec

import (
	"math"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// MaxNesting is how deep arrays, maps and tags may be nested in what [Dec]
// reads. Encoding has no such limit: a deeper value is refused by its reader.
const MaxNesting = 256

// Write-once and immutable. They are made at start rather than at first use so
// that an image of a started guest holds them.
var (
	enc = mustEnc()
	dec = mustDec()
)

// Enc returns the encoding mode. It is safe for concurrent use.
//
//   - Maps and struct fields are sorted by their encoded keys; lengths are definite.
//   - A float takes the shortest form that keeps its value; every NaN becomes the
//     same quiet NaN.
//   - [time.Time] is a text string with tag 0, RFC 3339 with nanoseconds and the
//     zone's offset. The zone's name and the monotonic reading are lost; the zero
//     Time is null.
//   - A nil slice or map is null, an empty one is not, so the two stay apart.
//   - An array of bytes is a byte string, as a slice of bytes is.
//   - A type with MarshalCBOR uses that, else MarshalBinary, else MarshalText.
//     Without the last, types such as big.Float would silently become {}.
//
// A string that is not UTF-8 is written as it is, and refused by [Dec].
func Enc() cbor.EncMode { return enc }

// Dec returns the decoding mode. It is safe for concurrent use.
//
//   - Exactly one data item: empty input and bytes after the item are errors.
//   - Duplicate map keys, text that is not UTF-8 and indefinite lengths are errors.
//   - A key without a field of exactly that name is ignored, so a field can be
//     added on one side first.
//   - Into an any: integers become int64 (a big.Int when they do not fit), maps
//     become map[string]any, tag 0 and 1 become [time.Time].
//   - The number of elements and pairs is bounded by the input's size alone, which
//     the caller limits. Note that an element of one byte can become a large Go
//     value: the memory needed is up to len(input) times the element's size.
func Dec() cbor.DecMode { return dec }

func mustEnc() cbor.EncMode {
	opts := cbor.CoreDetEncOptions()
	opts.Time = cbor.TimeRFC3339Nano
	opts.TimeTag = cbor.EncTagRequired
	opts.ByteArray = cbor.ByteArrayToByteSlice
	opts.TextMarshaler = cbor.TextMarshalerTextString
	mode, err := opts.EncMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return mode
}

func mustDec() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   MaxNesting,
		MaxArrayElements:  math.MaxInt32,
		MaxMapPairs:       math.MaxInt32,
		IndefLength:       cbor.IndefLengthForbidden,
		IntDec:            cbor.IntDecConvertSignedOrBigInt,
		DefaultMapType:    reflect.TypeFor[map[string]any](),
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		TextUnmarshaler:   cbor.TextUnmarshalerTextString,
	}.DecMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return mode
}
