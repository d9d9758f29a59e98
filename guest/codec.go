package guest

import (
	"reflect"

	"github.com/sandpool/sandpool/internal/codecs"
)

// A codec turns values into bytes and back.
type codec = codecs.Codec

// codecs returns the codecs that a call asks for, or why they are not the function's.
func (f *function) codecs(h host, numbers uint32) (in, out codec, failed *failure) {
	if numbers>>16 != 0 {
		return nil, nil, failf(codeInput, "codecs %#x: bits above 15 are set", numbers)
	}
	if in, failed = codecOf(h, numbers&0xff); failed != nil {
		return nil, nil, failed
	}
	if out, failed = codecOf(h, numbers>>8); failed != nil {
		return nil, nil, failed
	}
	switch {
	case in == codec(codecs.Raw{}) && !isRaw(f.in):
		return nil, nil, failf(codeInput, "%s takes %s: input came as raw bytes", f.name, typeName(f.in))
	case out == codec(codecs.Raw{}) && !isRaw(f.out):
		return nil, nil, failf(codeInput, "%s returns %s: output asked for as raw bytes", f.name, typeName(f.out))
	}
	return in, out, nil
}

// maxCodecName is the longest name of a codec, in bytes.
const maxCodecName = 32

// codecOf returns the codec that a number stands for.
func codecOf(h host, number uint32) (codec, *failure) {
	switch {
	case number == codecRaw:
		return codecs.Raw{}, nil
	case number == codecCBOR:
		return codecs.CBOR{}, nil
	case number == codecJSON:
		return codecs.JSON{}, nil
	case number < codecNamed:
		return nil, failf(codeInput, "codec %d: this guest knows none of that number", number)
	}
	if nameCodec == nil {
		return nil, failf(codeInput, "codec %d is none of cbor, json and raw, and this guest has no others", number)
	}
	return nameCodec(h, number)
}

// nameCodec is codecOf for the numbers that only the host knows. It stands here for
// guests that have registered a codec; the linker drops it from others, which then run on
// hosts that do not offer the import.
var nameCodec func(h host, number uint32) (codec, *failure)

func codecByName(h host, number uint32) (codec, *failure) {
	name := make([]byte, maxCodecName)
	n := h.codecName(number, name)
	if n == 0 || n > maxCodecName {
		return nil, failf(codeInput, "codec %d: the host has no name for it", number)
	}
	c, err := codecs.Lookup(string(name[:n]))
	if err != nil {
		return nil, failf(codeInput, "the guest has %v", err)
	}
	return c, nil
}

// RegisterCodec makes a codec known by a name, which c.Name must return: a call
// whose host names it is served with it. A package that brings a codec calls it from an init
// function, on the host as serialize.Register; "raw", "cbor" and "json" are there already.
// The error says what is wrong with the name or the codec.
func RegisterCodec(name string, c Codec) error {
	nameCodec = codecByName
	return codecs.Register(name, c)
}

// A Codec turns values into bytes and back. Decode stores in v, a non-nil pointer,
// and must not keep data.
type Codec interface {
	Name() string
	Encode(v any) ([]byte, error)
	Decode(data []byte, v any) error
}

// warmCodecs has the codecs that are there learn the types of a function.
func warmCodecs[In, Out any]() {
	for _, name := range codecs.Names() {
		c, err := codecs.Lookup(name)
		if err != nil || name == codecs.NameRaw {
			continue
		}
		var in In
		var out Out
		// The outcome does not matter: some types cannot be encoded as zeros.
		if input, err := c.Encode(in); err == nil {
			_ = c.Decode(input, &in)
		}
		_, _ = c.Encode(out)
	}
}

// decode sets *v from what a host function has answered, which becomes v's own if v is
// raw bytes.
func decode[T any](answer []byte, v *T) error { return defaultCodec[T]().Decode(answer, v) }

func encode[T any](v T) ([]byte, error) { return defaultCodec[T]().Encode(v) }

// defaultCodec is the codec of what host functions are given and answer.
func defaultCodec[T any]() codec {
	if isRaw(reflect.TypeFor[T]()) {
		return codecs.Raw{}
	}
	return codecs.CBOR{}
}
