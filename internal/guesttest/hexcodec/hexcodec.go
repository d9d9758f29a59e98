// Package hexcodec is a codec that is not one of the core's, for tests of hosts and
// guests: CBOR in hexadecimal digits.
package hexcodec

import (
	"encoding/hex"

	"github.com/sandpool/sandpool/internal/cborcodec"
)

// Name is what the codec is registered by.
const Name = "test-hex"

// Codec is the codec.
type Codec struct{}

// Name returns Name.
func (Codec) Name() string { return Name }

// Encode returns v's CBOR in hexadecimal digits.
func (Codec) Encode(v any) ([]byte, error) {
	b, err := cborcodec.Enc().Marshal(v)
	return hex.AppendEncode(nil, b), err
}

// Decode decodes what Encode has made.
func (Codec) Decode(data []byte, v any) error {
	b, err := hex.AppendDecode(nil, data)
	if err != nil {
		return err
	}
	return cborcodec.Dec().Unmarshal(b, v)
}
