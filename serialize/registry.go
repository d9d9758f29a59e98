package serialize

import (
	"cmp"
	"errors"
	"os"

	"github.com/sandpool/sandpool/internal/codecs"
)

// CodecVariable is the environment variable that names the codec of executors whose
// Options name none, as LOKY_PICKLER does in loky.
const CodecVariable = "SANDPOOL_CODEC"

// Register makes a codec known by a name, which c.Name must return: 1 to 32 bytes of
// a–z 0–9 - _ . that are not taken. A package that brings a codec calls it from an init
// function, so that importing the package is all its users have to do, on the host
// and in the guest. A name stays what it is: there is no way to register another codec
// under it. It is safe for concurrent use.
func Register(name string, c Codec) error { return codecs.Register(name, c) }

// CodecByName returns the codec that is registered by a name. The error lists those
// there are. It is safe for concurrent use.
func CodecByName(name string) (Codec, error) { return codecs.Lookup(name) }

// CodecNames lists the registered codecs in alphabetical order.
func CodecNames() []string { return codecs.Names() }

// DefaultCodec returns the name of the codec that executors use unless their Options say:
// what SANDPOOL_CODEC names, else "cbor". The error names the variable, and the codecs there
// are.
func DefaultCodec() (string, error) {
	name := cmp.Or(os.Getenv(CodecVariable), codecs.NameCBOR)
	if _, err := CodecByName(name); err != nil {
		return "", errors.New(CodecVariable + ": " + err.Error())
	}
	return name, nil
}

// CodecNameFor returns the name of the codec of T's values where the one asked for is
// name: "raw" for []byte, and name for every other type.
func CodecNameFor[T any](name string) string {
	if IsRaw[T]() {
		return codecs.NameRaw
	}
	return name
}

// IsRaw reports whether T is exactly []byte, whose values travel as they are.
func IsRaw[T any]() bool {
	_, raw := any((*T)(nil)).(*[]byte)
	return raw
}
