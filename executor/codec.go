package executor

import (
	"cmp"
	"os"
	"slices"

	"github.com/sandpool/sandpool/internal/codecs"
	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/serialize"
)

// Places of a slot's named codecs: what it binds the numbers from guestabi.CodecNamed
// on to.
const (
	namedInput  = iota // of the call's input
	namedOutput        // of its output
	namedSetup         // of the initializer and the warm-up calls
	namedCodecs        // how many there are
)

// codecNames are the names by place; those that need none are empty.
type codecNames [namedCodecs]string

// list returns the names as a LOAD has them.
func (n codecNames) list() []string {
	names := n[:]
	for len(names) > 0 && names[len(names)-1] == "" {
		names = names[:len(names)-1]
	}
	return slices.Clone(names)
}

// codecNumber returns the number by which a guest is told of a codec, and the name
// that has to go along with it.
func codecNumber(name string, place uint32) (number uint32, named string) {
	switch name {
	case codecs.NameRaw:
		return guestabi.CodecRaw, ""
	case codecs.NameCBOR:
		return guestabi.CodecCBOR, ""
	case codecs.NameJSON:
		return guestabi.CodecJSON, ""
	default:
		return guestabi.CodecNamed + place, name
	}
}

// setCodecs says how the input and the output of the target's calls are encoded.
func (t *target) setCodecs(in, out string) {
	t.out = out
	input, name := codecNumber(in, namedInput)
	t.named[namedInput] = name
	output, name := codecNumber(out, namedOutput)
	t.named[namedOutput] = name
	t.codecs = input | output<<8
}

// checkCodec returns the codec that an option names.
func checkCodec(option, name string) (serialize.Codec, error) {
	c, err := serialize.CodecByName(name)
	if err != nil {
		return nil, &OptionError{option, err.Error()}
	}
	return c, nil
}

// codec returns the name of the codec of calls whose Func names none.
func (o Options) codec() (string, error) {
	if o.Codec != "" {
		_, err := checkCodec("Options.Codec", o.Codec)
		return o.Codec, err
	}
	name := cmp.Or(os.Getenv(serialize.CodecVariable), codecs.NameCBOR)
	_, err := checkCodec(serialize.CodecVariable, name)
	return name, err
}

// A coded value has a codec of its own: serialize.With has made it.
type coded interface {
	Unwrap() (codec string, value any)
}

// encoding returns how an input is to be encoded, and what of it.
func (f *Func[In, Out]) encoding(o *Options, in In) (codec serialize.Codec, value any, err error) {
	value = in
	if c, ok := value.(coded); ok {
		name, v := c.Unwrap()
		codec, err = checkCodec("serialize.With", name)
		return codec, v, err
	}
	if serialize.IsRaw[In]() {
		return serialize.Raw, value, nil
	}
	codec, err = checkCodec("Func.Codec", cmp.Or(f.Codec, o.Codec))
	return codec, value, err
}
