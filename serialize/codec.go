package serialize

import "github.com/sandpool/sandpool/internal/codecs"

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

// The codecs of the core, registered as "raw", "cbor" and "json".
var (
	// Raw takes []byte values only and leaves them as they are: Encode returns
	// the very slice, Decode stores data itself.
	Raw Codec = codecs.Raw{}
	// CBOR is RFC 8949 in its deterministic form, one data item of definite
	// length.
	CBOR Codec = codecs.CBOR{}
	// JSON is RFC 8259 as encoding/json has it, one value in UTF-8: keys of maps are
	// sorted, <, > and & not escaped. What is lost is lost silently: text that is not
	// UTF-8, and integers over 2^53 decoded into an any. NaN and infinities cannot be encoded.
	JSON Codec = codecs.JSON{}
)

// CodecFor returns the codec of T's values where nothing else was asked for: [Raw] for
// []byte, [CBOR] for every other type.
func CodecFor[T any]() Codec {
	if IsRaw[T]() {
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
