package guest

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
)

const (
	maxName = 128 // bytes of a function's name, by ABI.md
	maxType = 256 // bytes of a type's text in the description
)

// registered holds what [Register] was given. Package initialization writes
// it and nothing changes it afterwards.
var registered registry

// Register makes fn callable by the host under name. Call it from an init
// function or a package variable of the guest: every instance must register
// the same functions in the same order.
//
// An In or Out of exactly []byte is passed as raw bytes; fn owns the slice it is
// given, and the one it returns is not kept. Every other type travels in the codec
// that the host names: CBOR (RFC 8949), where struct fields can be named with a
// `cbor:"name"` or `json:"name"` tag, unless its user chose JSON or another one. Use struct{} for a function without input or output.
//
// Register panics if name is not 1 to 128 bytes of A–Z a–z 0–9 _ - . / :, if it is
// taken, if fn is nil, and when the guest has started.
func Register[In, Out any](name string, fn func(In) (Out, error)) {
	registered.add(newFunction(name, fn))
}

// registry is the list of functions; a function's index is its place in it.
type registry struct {
	functions []function
	host      []hostNeed // functions of the host that were declared
	started   bool       // set by start, at the host's first call of an export
	runner    runner
}

// function is one registered function without its types.
type function struct {
	name    string
	in, out reflect.Type
	run     func(input []byte, in, out codec) ([]byte, *failure) // nil when a nil function was registered
	warm    func()                                               // has the codecs learn In and Out
}

func newFunction[In, Out any](name string, fn func(In) (Out, error)) function {
	f := function{name: name, in: reflect.TypeFor[In](), out: reflect.TypeFor[Out]()}
	if fn == nil {
		return f
	}
	f.run = func(input []byte, ci, co codec) ([]byte, *failure) {
		var in In
		if err := ci.Decode(input, &in); err != nil {
			return nil, failf(codeInput, "decode input of %s as %s with %s: %v", name, typeName(f.in), ci.Name(), err)
		}
		out, err := fn(in)
		if err != nil {
			return nil, &failure{code: codeError, message: err.Error()}
		}
		output, err := co.Encode(out)
		if err != nil {
			return nil, failf(codeOutput, "encode output of %s, a %s, with %s: %v", name, typeName(f.out), co.Name(), err)
		}
		return output, nil
	}
	f.warm = warmCodecs[In, Out]
	return f
}

// start ends the time in which functions can be added.
func (r *registry) start() *registry {
	r.started = true
	return r
}

func (r *registry) add(f function) {
	switch {
	case r.started:
		panic(fmt.Sprintf("guest.Register(%q): the guest has started; register from init", f.name))
	case !validName(f.name):
		panic(fmt.Sprintf("guest.Register(%q): a name is 1 to %d bytes of A–Z a–z 0–9 _ - . / :", f.name, maxName))
	case f.run == nil:
		panic(fmt.Sprintf("guest.Register(%q): nil function", f.name))
	}
	for _, other := range r.functions {
		if other.name == f.name {
			panic(fmt.Sprintf("guest.Register(%q): the name is taken", f.name))
		}
	}
	r.functions = append(r.functions, f)
}

func validName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("_-./:", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// describe writes the description of ABI.md. The JSON is written by hand
// because encoding/json would make every guest larger.
func (r *registry) describe(h host) uint32 {
	b := append([]byte(nil), `{"sdk":`...)
	b = appendQuoted(b, "go ("+runtime.Version()+")")
	b = append(b, `,"functions":[`...)
	for i, f := range r.functions {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSignature(b, f.name, typeName(f.in), typeName(f.out))
	}
	b = r.describeHost(append(b, ']'))
	h.outputWrite(append(b, '}'))
	return 0
}

// appendSignature appends one entry of a list of functions.
func appendSignature(b []byte, name, in, out string) []byte {
	b = append(b, `{"name":`...)
	b = appendQuoted(b, name)
	b = append(b, `,"in":`...)
	b = appendQuoted(b, in)
	b = append(b, `,"out":`...)
	b = appendQuoted(b, out)
	return append(b, '}')
}

// appendQuoted appends s to b as a JSON string.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for _, c := range s { // an invalid byte comes out as U+FFFD
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		case c < ' ':
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, string(c)...)
		}
	}
	return append(b, '"')
}

func isRaw(t reflect.Type) bool { return t == reflect.TypeFor[[]byte]() }

// typeName is t for people, "bytes" for raw bytes. An unnamed struct can be
// long and the description is limited, so it is cut.
func typeName(t reflect.Type) string {
	if isRaw(t) {
		return "bytes"
	}
	s := t.String()
	if len(s) > maxType {
		s = s[:maxType] + "…"
	}
	return s
}
