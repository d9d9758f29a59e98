package serialize_test

import (
	"encoding/json"

	"github.com/sandpool/sandpool/serialize"
)

// plainJSON is the codec of the tests that try each.
var plainJSON = serialize.JSON

// plainJSONCodec is encoding/json as it is.
type plainJSONCodec struct{}

func (plainJSONCodec) Name() string                    { return "json" }
func (plainJSONCodec) Encode(v any) ([]byte, error)    { return json.Marshal(v) }
func (plainJSONCodec) Decode(data []byte, v any) error { return json.Unmarshal(data, v) }
