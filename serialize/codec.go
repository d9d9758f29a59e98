package serialize

import (
	"errors"

	"github.com/sandpool/sandpool/internal/cborcodec"
)

// A Codec turns values into bytes and back. Both methods must be safe for
// concurrent use; Encode must not keep v, Decode must not keep data.
type Codec interface {
	// Name is how settings and errors call the codec.
	Name() string
	// Encode returns v's bytes.
	Encode(v any) ([]byte, error)
	// Decode stores what data holds in v, a non-nil pointer.
	Decode(data []byte, v any) error
}

// The codecs of the core.
var (
	// Raw takes []byte values only and leaves them as they are: Encode returns
	// the very slice, Decode stores data itself.
	Raw Codec = rawCodec{}
	// CBOR is RFC 8949 in its deterministic form, one data item of definite
	// length.
	CBOR Codec = cborCodec{}
)

// CodecFor returns the codec of T's values: [Raw] for []byte, [CBOR] for every
// other type.
func CodecFor[T any]() Codec {
	if _, raw := any((*T)(nil)).(*[]byte); raw {
		return Raw
	}
	return CBOR
}

// Encode encodes v with c. Every failure, a panic included, is a [*Error].
func Encode(c Codec, v any) (data []byte, err error) {
	return (*Reducers)(nil).Encode(c, v)
}

// Decode decodes data into v, a non-nil pointer, with c. Every failure, a panic
// included, is a [*Error].
func Decode(c Codec, data []byte, v any) (err error) {
	return (*Reducers)(nil).Decode(c, data, v, 0)
}

type rawCodec struct{}

func (rawCodec) Name() string { return "raw" }

func (rawCodec) Encode(v any) ([]byte, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, errors.New("raw bytes are of type []byte")
	}
	return b, nil
}

func (rawCodec) Decode(data []byte, v any) error {
	p, ok := v.(*[]byte)
	if !ok {
		return errors.New("raw bytes are of type []byte")
	}
	*p = data
	return nil
}

type cborCodec struct{}

func (cborCodec) Name() string { return "cbor" }

func (cborCodec) Encode(v any) ([]byte, error) { return cborcodec.Enc().Marshal(v) }

func (cborCodec) Decode(data []byte, v any) error { return cborcodec.Dec().Unmarshal(data, v) }
