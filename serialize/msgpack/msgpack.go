// Package msgpack registers MessagePack as the codec "msgpack". Import it for that, on the
// host and in the guest:
//
//	import _ "github.com/sandpool/sandpool/serialize/msgpack"
//
//	fn := executor.Func[event, int]{Module: mod, Name: "count", Codec: "msgpack"}
//
// Fields are named with a `msgpack:"name"` tag. Into an any, maps become map[any]any
// and integers int or uint, of the narrowest size for some. The keys of a map come in no fixed order, so that
// a pure function's results are found again less often than with CBOR.
package msgpack

import (
	"github.com/shamaton/msgpack/v3"
)

// Name is the name that the codec is registered by.
const Name = "msgpack"

// Codec is the codec. It is safe for concurrent use.
type Codec struct{}

// Name returns "msgpack".
func (Codec) Name() string { return Name }

// Encode returns v's MessagePack.
func (Codec) Encode(v any) ([]byte, error) { return msgpack.Marshal(v) }

// Decode stores the value that data holds, exactly one, in v. It refuses data that is
// nested deeper than 256 levels, text that is not UTF-8, and lengths beyond its end,
// before anything is allocated.
func (Codec) Decode(data []byte, v any) error {
	if err := check(data); err != nil {
		return err
	}
	return msgpack.Unmarshal(data, v)
}
