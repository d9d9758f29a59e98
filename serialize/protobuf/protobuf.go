// Package protobuf registers Protocol Buffers as the codec "protobuf". Import it for
// that, on the host and in the guest:
//
//	import _ "github.com/sandpool/sandpool/serialize/protobuf"
//
//	fn := executor.Func[*pb.Request, *pb.Reply]{Module: mod, Name: "handle", Codec: "protobuf"}
//
// Inputs and outputs are pointers to generated messages; other types cannot be encoded.
// A nil message arrives as an empty one.
package protobuf

import (
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"
)

// Name is the name that the codec is registered by.
const Name = "protobuf"

// maxNesting is how deep messages may be nested, as in Sandpool's CBOR.
const maxNesting = 256

// Codec is the codec. It is safe for concurrent use.
type Codec struct{}

// Name returns "protobuf".
func (Codec) Name() string { return Name }

// Encode returns the wire form of v, a proto.Message, the same for the same message.
func (Codec) Encode(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no proto.Message", v)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

// Decode stores the message that data holds in v: a proto.Message, or a pointer to
// one, which is set to a new message. Unknown fields are kept. It refuses messages that are nested deeper
// than 256 levels.
func (Codec) Decode(data []byte, v any) error {
	options := proto.UnmarshalOptions{RecursionLimit: maxNesting}
	if m, ok := v.(proto.Message); ok {
		return options.Unmarshal(data, m)
	}
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() || p.Type().Elem().Kind() != reflect.Pointer {
		return fmt.Errorf("%T points to no proto.Message", v)
	}
	fresh := reflect.New(p.Type().Elem().Elem())
	m, ok := reflect.TypeAssert[proto.Message](fresh)
	if !ok {
		return fmt.Errorf("%T points to no proto.Message", v)
	}
	if err := options.Unmarshal(data, m); err != nil {
		return err
	}
	p.Elem().Set(fresh)
	return nil
}
