package codecs

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/sandpool/sandpool/internal/cborcodec"
)

// Raw is serialize.Raw.
type Raw struct{}

// Name returns "raw".
func (Raw) Name() string { return NameRaw }

var errRaw = errors.New("raw bytes are of type []byte")

// Encode returns v itself.
func (Raw) Encode(v any) ([]byte, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, errRaw
	}
	return b, nil
}

// Decode stores data itself.
func (Raw) Decode(data []byte, v any) error {
	p, ok := v.(*[]byte)
	if !ok {
		return errRaw
	}
	*p = data
	return nil
}

// CBOR is serialize.CBOR.
type CBOR struct{}

// Name returns "cbor".
func (CBOR) Name() string { return NameCBOR }

// Encode encodes as package cborcodec documents.
func (CBOR) Encode(v any) ([]byte, error) { return cborcodec.Enc().Marshal(v) }

// Decode decodes as package cborcodec documents.
func (CBOR) Decode(data []byte, v any) error { return cborcodec.Dec().Unmarshal(data, v) }

// JSON is serialize.JSON.
type JSON struct{}

// Name returns "json".
func (JSON) Name() string { return NameJSON }

// Encode encodes without escaping for HTML.
func (JSON) Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Decode decodes exactly one value of valid UTF-8.
func (JSON) Decode(data []byte, v any) error {
	if len(data) == 0 {
		return io.ErrUnexpectedEOF
	}
	if !utf8.Valid(data) {
		return errors.New("JSON that is not UTF-8") // encoding/json would change it silently
	}
	return json.Unmarshal(data, v)
}
