package executor

import (
	"fmt"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/serialize"
)

// stageInitializer is the stage of a StartError about Options.Initializer.
const stageInitializer = "initializer"

// An initializer is Options.Initializer as workers get it. The zero value is none.
type initializer struct {
	name  string
	input []byte
	codec uint32
}

// resolve encodes the initializer's input.
func (i Initializer) resolve() (initializer, error) {
	if i.Name == "" {
		if i.Input != nil {
			return initializer{}, &OptionError{"Options.Initializer", "has an Input and no Name"}
		}
		return initializer{}, nil
	}
	r := initializer{name: i.Name, codec: guestabi.CodecCBOR | guestabi.CodecCBOR<<8}
	if raw, ok := i.Input.([]byte); ok {
		r.input, r.codec = append([]byte(nil), raw...), guestabi.CodecRaw|guestabi.CodecCBOR<<8
		return r, r.check()
	}
	input, err := serialize.Encode(serialize.CBOR, i.Input)
	if err != nil {
		return initializer{}, fmt.Errorf("encode Options.Initializer.Input: %w", err)
	}
	r.input = input
	return r, r.check()
}

func (i initializer) check() error {
	if len(i.input) > maxInitializer {
		return &OptionError{"Options.Initializer.Input", fmt.Sprintf("%d bytes are more than %d", len(i.input), maxInitializer)}
	}
	return nil
}
