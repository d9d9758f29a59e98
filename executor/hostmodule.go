package executor

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/typetext"
	"github.com/sandpool/sandpool/serialize"
)

// A HostModule is a set of functions that the host lends to guests, by name. It
// is constant and may be shared by executors. A guest calls one with the import
// host_call of guest/ABI.md, or guest.CallHost in Go, if its Func's Grants name it.
type HostModule struct {
	functions map[string]HostFunction
}

// A HostFunction is one function of a HostModule; HostFunc makes it.
type HostFunction struct {
	name      string
	signature string
	call      func(ctx context.Context, input []byte) ([]byte, error)
}

// HostFunc returns a host function. An In or Out of exactly []byte travels as raw
// bytes, every other type through serialize.CBOR; what the guest calls it with must
// be of the same types, as with guest.HostFunc in Go.
//
// It runs on a goroutine of its own in the host while the guest waits, and several
// guests may call it at once. The input is its own to keep and, encoded, as long as the
// call's Limits.Output allows; the encoded output must fit Limits.Input, and one of raw bytes must not
// change before the guest's next call of a host function, or its end. An error reaches the guest
// as its text, and so does a panic, which is logged to Options.Logger; so do an input
// that does not fit In and an output that cannot be encoded. The input is the guest's
// word: what it takes once decoded is bounded by the call's Limits.Decoded.
//
// ctx ends with the guest's call, whatever ends that; a function that goes on
// all the same is not waited for, not even by Close. CallerTenant tells on whose behalf
// it runs. A call that the function submits with ctx, to the same executor or another,
// is nested: it inherits the tenant in the same executor, goes first, ends when its caller does, and the caller's worker does not count
// against Options.Workers while there is such a call. See Options.MaxDepth.
func HostFunc[In, Out any](name string, fn func(ctx context.Context, input In) (Out, error)) HostFunction {
	in, out := typetext.Of(reflect.TypeFor[In]()), typetext.Of(reflect.TypeFor[Out]())
	f := HostFunction{name: name, signature: name + "(" + in + ") -> " + out}
	if fn != nil {
		f.call = func(ctx context.Context, input []byte) ([]byte, error) { return runTyped(ctx, fn, input) }
	}
	return f
}

// runTyped decodes the input, runs the function and encodes what it returns.
func runTyped[In, Out any](ctx context.Context, fn func(context.Context, In) (Out, error), input []byte) ([]byte, error) {
	var in In
	if err := (*serialize.Reducers)(nil).Decode(serialize.CodecFor[In](), input, &in, decodedLimit(ctx)); err != nil {
		return nil, fmt.Errorf("its input: %w", err)
	}
	out, err := fn(ctx, in)
	if err != nil {
		return nil, err
	}
	output, err := serialize.Encode(serialize.CodecFor[Out](), out)
	if err != nil {
		return nil, fmt.Errorf("its output: %w", err)
	}
	return output, nil
}

// Name returns the name by which guests call the function.
func (f HostFunction) Name() string { return f.name }

// Signature returns the name and types in words, as "kv_get(string) -> bytes?":
// "bytes" for raw bytes, a question mark for a pointer, structs by the encoded names
// of their fields. It is for people, of bounded length, and not meant to be parsed.
func (f HostFunction) Signature() string { return f.signature }

// NewHostModule returns a module of functions. Names must be different and valid
// as those of guest functions are (see guest/ABI.md).
func NewHostModule(functions ...HostFunction) (*HostModule, error) {
	m := &HostModule{functions: make(map[string]HostFunction, len(functions))}
	for _, f := range functions {
		if err := guestabi.CheckName(f.name); err != nil {
			return nil, &OptionError{"HostFunc", err.Error()}
		}
		if strings.HasPrefix(f.name, guestabi.ReservedPrefix) {
			return nil, &OptionError{"HostFunc", fmt.Sprintf("function %s: names that begin with %s are the executor's own", f.name, guestabi.ReservedPrefix)}
		}
		if f.call == nil {
			return nil, &OptionError{"HostFunc", fmt.Sprintf("function %s is nil", f.name)}
		}
		if _, ok := m.functions[f.name]; ok {
			return nil, &OptionError{"HostFunc", "two functions are named " + f.name}
		}
		m.functions[f.name] = f
	}
	return m, nil
}

// Names lists the functions in alphabetical order.
func (m *HostModule) Names() []string {
	if m == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(m.functions))
}

// Signatures lists the functions' signatures in the order of Names.
func (m *HostModule) Signatures() []string {
	names := m.Names()
	for i, name := range names {
		names[i] = m.functions[name].signature
	}
	return names
}
