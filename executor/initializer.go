package executor

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/serialize"
)

// stageInitializer is the stage of a StartError about Options.Initializer.
const stageInitializer = "initializer"

// An initializer is Options.Initializer as workers get it. The zero value is none.
type initializer struct {
	name  string
	input []byte
	codec uint32
	named string // the codec's name, if it needs one
}

func (i initializer) equal(j initializer) bool {
	return i.name == j.name && i.codec == j.codec && i.named == j.named && slices.Equal(i.input, j.input)
}

// A setup is what instances go through before their first call.
type setup struct {
	init   initializer
	warmUp []initializer // calls before an image is captured
}

// setup encodes the inputs of Options.Initializer and WarmUp.
func (o Options) setup() (s setup, err error) {
	var errs []error
	codec := serialize.CBOR
	if name, err := o.codec(); err == nil { // validate reports it
		codec, _ = serialize.CodecByName(name)
	}
	s.init, err = encodeSetup(codec, "Options.Initializer", o.Initializer.Name, o.Initializer.Input)
	errs = append(errs, err)
	total := len(s.init.input)
	for i, w := range o.WarmUp {
		option := fmt.Sprintf("Options.WarmUp[%d]", i)
		if err := guestabi.CheckName(w.Name); err != nil {
			errs = append(errs, &OptionError{option + ".Name", err.Error()})
		}
		call, err := encodeSetup(codec, option, w.Name, w.Input)
		errs = append(errs, err)
		s.warmUp = append(s.warmUp, call)
		total += len(call.input)
	}
	if total > maxInitializer {
		errs = append(errs, &OptionError{"Options.Initializer.Input", fmt.Sprintf("%d bytes, with those of WarmUp, are more than %d", total, maxInitializer)})
	}
	if len(o.WarmUp) > maxWarmUp {
		errs = append(errs, &OptionError{"Options.WarmUp", fmt.Sprintf("%d calls are more than %d", len(o.WarmUp), maxWarmUp)})
	}
	return s, errors.Join(errs...)
}

func encodeSetup(codec serialize.Codec, option, name string, input any) (initializer, error) {
	if name == "" {
		if input != nil {
			return initializer{}, &OptionError{option, "has an Input and no Name"}
		}
		return initializer{}, nil
	}
	number, named := codecNumber(codec.Name(), namedSetup)
	r := initializer{name: name, codec: number | number<<8, named: named}
	if raw, ok := input.([]byte); ok {
		r.input, r.codec = append([]byte(nil), raw...), guestabi.CodecRaw|number<<8
		return r, nil
	}
	encoded, err := serialize.Encode(codec, input)
	if err != nil {
		return initializer{}, fmt.Errorf("encode %s.Input: %w", option, err)
	}
	r.input = encoded
	return r, nil
}

func (s setup) equal(t setup) bool {
	return s.init.equal(t.init) && slices.EqualFunc(s.warmUp, t.warmUp, initializer.equal)
}

// calls returns the warm-up calls as a template gets them.
func (s setup) calls() []wire.WarmUp {
	var calls []wire.WarmUp
	for _, w := range s.warmUp {
		calls = append(calls, wire.WarmUp{Function: w.name, Input: w.input, Codec: w.codec})
	}
	return calls
}
