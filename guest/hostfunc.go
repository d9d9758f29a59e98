package guest

import (
	"fmt"
	"reflect"

	"github.com/sandpool/sandpool/internal/typetext"
)

// A hostNeed is a host function that the guest has declared.
type hostNeed struct {
	name    string
	in, out reflect.Type
	text    func() (in, out string) // of the types
	warm    func()                  // has the codec learn both types
}

// HostFunc declares a function of the host's and returns what calls it, with the
// types that the host has it by: []byte is raw bytes, every other type travels as
// CBOR, as with [Register]. Declare it once, as a package variable:
//
//	var get = guest.HostFunc[string, *[]byte]("kv_get")
//
// The declaration stands in the module's description, where sandpool inspect shows
// it. Nothing is called before the returned function is, whose errors are those of
// [CallHost] and of encoding in and decoding what the host answered; it may be called
// from any goroutine.
//
// HostFunc panics if name is no valid name of a function, if it has been declared with
// other types, and when the guest has started.
func HostFunc[In, Out any](name string) func(in In) (Out, error) {
	registered.needs(newNeed[In, Out](name))
	return func(in In) (Out, error) { return callTyped[In, Out](theHost, name, in) }
}

func newNeed[In, Out any](name string) hostNeed {
	return hostNeed{
		name: name, in: reflect.TypeFor[In](), out: reflect.TypeFor[Out](),
		// Here, so that a guest without host functions is built without it.
		text: func() (in, out string) {
			return typetext.Of(reflect.TypeFor[In]()), typetext.Of(reflect.TypeFor[Out]())
		},
		warm: warmCodecs[In, Out],
	}
}

// callTyped is CallHost with types.
func callTyped[In, Out any](h host, name string, in In) (out Out, err error) {
	input, err := encode(in)
	if err != nil {
		return out, fmt.Errorf("encode input of host function %q, a %s: %w", name, typeName(reflect.TypeFor[In]()), err)
	}
	answer, err := callHost(h, name, input)
	if err != nil {
		return out, err
	}
	if err := decode(answer, &out); err != nil {
		var zero Out // and not what was decoded so far
		return zero, fmt.Errorf("decode answer of host function %q as %s: %w", name, typeName(reflect.TypeFor[Out]()), err)
	}
	return out, nil
}

// needs notes a declaration.
func (r *registry) needs(n hostNeed) {
	switch {
	case r.started:
		panic(fmt.Sprintf("guest.HostFunc(%q): the guest has started; declare it in a package variable", n.name))
	case !validName(n.name):
		panic(fmt.Sprintf("guest.HostFunc(%q): a name is 1 to %d bytes of A–Z a–z 0–9 _ - . / :", n.name, maxName))
	}
	for _, other := range r.host {
		if other.name != n.name {
			continue
		}
		if other.in != n.in || other.out != n.out {
			panic(fmt.Sprintf("guest.HostFunc(%q): declared with other types before", n.name))
		}
		return
	}
	r.host = append(r.host, n)
}

// describeHost appends the description's list of host functions, if there are any.
func (r *registry) describeHost(b []byte) []byte {
	for i, n := range r.host {
		if i == 0 {
			b = append(b, `,"host":[`...)
		} else {
			b = append(b, ',')
		}
		in, out := n.text()
		b = appendSignature(b, n.name, in, out)
	}
	if len(r.host) > 0 {
		b = append(b, ']')
	}
	return b
}
