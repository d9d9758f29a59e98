package serialize

import "errors"

// Coded is a value with a codec of its own; see [With].
type Coded[T any] struct {
	Codec string // its name, as Register has it
	Value T
}

// With chooses the codec of one value: where a function's input is a Coded, its Value is
// encoded with that codec, whatever Func, Options and the environment say, and the guest
// decodes it with the same. It is loky's wrap_non_picklable_objects turned round: there a
// wrapper forces the one pickler that can cope.
//
//	fn := executor.Func[serialize.Coded[event], int]{Module: mod, Name: "count"}
//	f := executor.Submit(ctx, ex, fn, serialize.With("json", e))
//
// A Func whose input is an any takes both Coded values and others. The whole input is
// coded, not a part of it: a Coded inside another value cannot be encoded. A codec that is not
// registered fails the call.
func With[T any](codec string, v T) Coded[T] { return Coded[T]{codec, v} }

// Unwrap returns the codec's name and the value.
func (c Coded[T]) Unwrap() (codec string, value any) { return c.Codec, c.Value }

var errNested = errors.New("serialize.With is for a whole input, not for a part of it")

// MarshalCBOR fails: it is called for a Coded inside another value only.
func (Coded[T]) MarshalCBOR() ([]byte, error) { return nil, errNested }

// MarshalJSON fails: it is called for a Coded inside another value only.
func (Coded[T]) MarshalJSON() ([]byte, error) { return nil, errNested }

// MarshalText fails, for other codecs.
func (Coded[T]) MarshalText() ([]byte, error) { return nil, errNested }
