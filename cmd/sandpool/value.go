package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/sandpool/sandpool/internal/cborcodec"
)

// fromJSON turns what a json.Decoder with UseNumber made into what a guest can
// decode: numbers without fraction and exponent become integers of any size, all
// others float64.
func fromJSON(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		return number(v.String())
	case []any:
		for i := range v {
			item, err := fromJSON(v[i])
			if err != nil {
				return nil, err
			}
			v[i] = item
		}
	case map[string]any:
		for key := range v {
			item, err := fromJSON(v[key])
			if err != nil {
				return nil, err
			}
			v[key] = item
		}
	}
	return v, nil
}

func number(s string) (any, error) {
	if strings.ContainsAny(s, ".eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil, fmt.Errorf("the number %s is too large for a float64", s)
		}
		return f, nil
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i, nil
	}
	if u, err := strconv.ParseUint(s, 10, 64); err == nil {
		return u, nil
	}
	i, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return nil, fmt.Errorf("%q is no number", s)
	}
	return i, nil
}

// resultMode decodes as the project's codec does, but takes maps with keys of
// any type: a guest's map[int]string is as good a result as any.
var resultMode = func() cbor.DecMode {
	options := cborcodec.Dec().DecOptions()
	options.DefaultMapType = reflect.TypeFor[map[any]any]()
	mode, err := options.DecMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return mode
}()

// resultJSON turns a guest's CBOR result into one line of JSON, its end
// included.
func resultJSON(result cbor.RawMessage) ([]byte, error) {
	var v any
	if err := resultMode.Unmarshal(result, &v); err != nil {
		return nil, fmt.Errorf("result cannot be decoded: %w", err)
	}
	v, err := toJSON(v)
	if err != nil {
		return nil, err
	}
	return encodeJSON(v, "")
}

// encodeJSON encodes v safely for a terminal, with the given indent.
func encodeJSON(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("result cannot be written as JSON: %w", err)
	}
	return escapeJSON(b.Bytes()), nil
}

// A valueError reports a part of a result that JSON cannot express.
type valueError struct{ path, reason string }

func (e *valueError) Error() string {
	return "result" + e.path + " " + e.reason + "; JSON has no such value"
}

// below puts a step in front of the path of a valueError.
func below(step string, err error) error {
	if e, ok := errors.AsType[*valueError](err); ok {
		return &valueError{step + e.path, e.reason}
	}
	return err
}

// toJSON turns what CBOR decoded into what encoding/json writes as this tool
// documents it.
func toJSON(v any) (any, error) {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, &valueError{"", fmt.Sprintf("is %v", v)}
		}
	case big.Int:
		return json.Number(v.String()), nil
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	case cbor.ByteString:
		return []byte(v), nil // which encoding/json writes in base64
	case cbor.Tag:
		return toJSON(v.Content)
	case cbor.SimpleValue:
		return nil, &valueError{"", fmt.Sprintf("is the simple value %d", v)}
	case []any:
		for i := range v {
			item, err := toJSON(v[i])
			if err != nil {
				return nil, below(fmt.Sprintf("[%d]", i), err)
			}
			v[i] = item
		}
	case map[any]any:
		return objectJSON(v)
	}
	return v, nil
}

func objectJSON(m map[any]any) (map[string]any, error) {
	object := make(map[string]any, len(m))
	for k, v := range m {
		key := keyText(k)
		if _, ok := object[key]; ok {
			return nil, &valueError{"", fmt.Sprintf("has two keys that are written %q", key)}
		}
		value, err := toJSON(v)
		if err != nil {
			return nil, below("."+key, err)
		}
		object[key] = value
	}
	return object, nil
}

// keyText returns a map's key as the name of a JSON member.
func keyText(k any) string {
	switch k := k.(type) {
	case string:
		return k
	case cbor.ByteString:
		return base64.StdEncoding.EncodeToString([]byte(k))
	case time.Time:
		return k.Format(time.RFC3339Nano)
	default:
		return fmt.Sprint(k)
	}
}
