package executor_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/guesttest/hexcodec"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

func init() {
	if err := errors.Join(serialize.Register(hexcodec.Name, hexcodec.Codec{}), serialize.Register("host-only", hostOnly{})); err != nil {
		panic(err)
	}
}

// hostOnly is a codec that no guest has.
type hostOnly struct{ hexcodec.Codec }

func (hostOnly) Name() string { return "host-only" }

// asIs is a value whose form every codec tells.
type asIs struct{ cbor, json string }

func (a asIs) MarshalCBOR() ([]byte, error) { return []byte(a.cbor), nil }
func (a asIs) MarshalJSON() ([]byte, error) { return []byte(a.json), nil }

// The codec's name reaches the guest by every start method, and its SDK uses it for the
// input and the output.
func TestCodec(t *testing.T) {
	t.Parallel()
	for _, method := range startmethod.Methods() {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			names := []string{"cbor", "json", hexcodec.Name}
			if method == startmethod.Fresh { // which compiles at every call
				names = names[2:]
			}
			for _, name := range names {
				ex := newExecutor(t, executor.Options{
					StartMethod: method, Codec: name, Initializer: executor.Initializer{Name: "setup", Input: "from " + name},
					WarmUp: []executor.WarmUp{{Name: "add", Input: pair{1, 1}}},
				})
				add := executor.Func[pair, int]{Module: fixture(t), Name: "add"}
				sum, err := call(t, ex, add, pair{2, 3})
				require.NoError(t, err, name)
				require.Equal(t, 5, sum)
				value, err := call(t, ex, executor.Func[struct{}, struct{ Value string }]{Module: add.Module, Name: "setupvalue"}, struct{}{})
				require.NoError(t, err, name)
				require.Equal(t, "from "+name, value.Value)
			}
		})
	}
}

// A function chooses over the executor, and a value over both.
func TestCodec_precedence(t *testing.T) {
	t.Parallel()
	in := asIs{cbor: "\xa2\x61A\x01\x61B\x01", json: `{"A":2,"B":2}`} // a sum of 2 by CBOR and of 4 by JSON
	for name, tc := range map[string]struct {
		option, fn, value string
		want              int
	}{
		"none":                         {"", "", "", 2},
		"executor":                     {"json", "", "", 4},
		"function":                     {"", "json", "", 4},
		"function over executor":       {"json", "cbor", "", 2},
		"value":                        {"", "", "json", 4},
		"value over function":          {"", "json", "cbor", 2},
		"value over executor":          {"json", "", "cbor", 2},
		"value, named, over the other": {"json", "json", hexcodec.Name, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ex := newExecutor(t, executor.Options{Codec: tc.option})
			fn := executor.Func[any, any]{Module: fixture(t), Name: "add", Codec: tc.fn}
			var input any = in
			if tc.value != "" {
				input = serialize.With(tc.value, in)
			}
			sum, err := call(t, ex, fn, input)
			require.NoError(t, err)
			require.EqualValues(t, tc.want, sum)
			if tc.value == "" {
				return
			}
			typed := executor.Func[serialize.Coded[asIs], int]{Module: fn.Module, Name: "add", Codec: tc.fn}
			sum, err = call(t, ex, typed, serialize.With(tc.value, in))
			require.NoError(t, err)
			require.Equal(t, tc.want, sum)
		})
	}
}

// Bytes are raw whatever codec is in force, unless the value says otherwise.
func TestCodec_bytes(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Codec: "json"})
	echo := raw{Module: fixture(t), Name: "echo", Codec: hexcodec.Name}
	out, err := call(t, ex, echo, []byte("\xff\x00"))
	require.NoError(t, err)
	require.Equal(t, "\xff\x00", string(out))
	coded := executor.Func[serialize.Coded[[]byte], []byte]{Module: echo.Module, Name: "echo"}
	out, err = call(t, ex, coded, serialize.With("json", []byte("text")))
	require.NoError(t, err)
	require.Equal(t, "text", string(out))
	text := executor.Func[json.RawMessage, json.RawMessage]{Module: echo.Module, Name: "upper", Codec: "json"}
	shout, err := call(t, ex, text, json.RawMessage(`"a<b"`))
	require.NoError(t, err)
	require.Equal(t, `"A<B"`, string(shout))
}

// Row P3 of loky's tests: wrong names are errors that say which setting has them.
func TestP3_unknownCodec(t *testing.T) {
	t.Parallel()
	const there = `no codec "fortran"; there are cbor, host-only, json, raw, test-hex, and others once their package is imported`
	for _, o := range []executor.Options{{Codec: "fortran"}, {Codec: "fortran", Initializer: executor.Initializer{Name: "setup", Input: 1}}} {
		_, err := executor.New(&o)
		require.EqualError(t, err, "Options.Codec: "+there)
	}
	ex := newExecutor(t, executor.Options{})
	add := executor.Func[any, int]{Module: fixture(t), Name: "add"}
	_, err := call(t, ex, add, any(serialize.With("fortran", pair{})))
	require.EqualError(t, err, "serialize.With: "+there)
	_, err = call(t, ex, add, any([]any{serialize.With("json", pair{})}))
	require.ErrorContains(t, err, "serialize.With is for a whole input")
	add.Codec = "fortran"
	_, err = call(t, ex, add, any(pair{}))
	require.EqualError(t, err, "Func.Codec: "+there)
	_, err = call(t, ex, add, any(serialize.With("json", pair{1, 2})))
	require.EqualError(t, err, "Func.Codec: "+there, "the output's")

	add.Codec = "host-only"
	_, err = call(t, ex, add, any(pair{}))
	var ge *executor.GuestError
	require.ErrorAs(t, err, &ge)
	require.Equal(t, executor.CodeInput, ge.Code)
	require.Equal(t, `the guest has no codec "host-only"; there are cbor, json, raw, test-hex, and others once their package is imported`, ge.Message)

	add.Codec = "raw"
	_, err = call(t, ex, add, any(pair{}))
	require.ErrorContains(t, err, "with raw: raw bytes are of type []byte")
	sum, err := call(t, ex, executor.Func[any, int]{Module: add.Module, Name: "add"}, any(pair{1, 2}))
	require.NoError(t, err)
	require.Equal(t, 3, sum)
}

//nolint:paralleltest // sets the environment
func TestP2_codecVariable(t *testing.T) {
	t.Setenv(serialize.CodecVariable, "json")
	ex := newExecutor(t, executor.Options{})
	in := asIs{cbor: "broken", json: `{"A":2,"B":2}`}
	sum, err := call(t, ex, executor.Func[asIs, int]{Module: fixture(t), Name: "add"}, in)
	require.NoError(t, err)
	require.Equal(t, 4, sum)
	t.Setenv(serialize.CodecVariable, "pickle")
	_, err = executor.New(nil)
	var oe *executor.OptionError
	require.ErrorAs(t, err, &oe)
	require.Equal(t, "SANDPOOL_CODEC", oe.Option)
	require.ErrorContains(t, err, `no codec "pickle"`)
}

// A guest that knows no codec but raw bytes says so.
func TestCodec_tiny(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{})
	echo := executor.Func[string, string]{Module: tiny(t, "echo", guesttest.TinyEcho()), Name: "echo"}
	_, err := call(t, ex, echo, "text")
	require.ErrorContains(t, err, "echo takes and returns raw bytes")
}

// Results of a pure function are kept by codec.
func TestCodec_pure(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{})
	in := asIs{cbor: `"same"`, json: `"same"`}
	fn := executor.Func[asIs, json.RawMessage]{Module: fixture(t), Name: "upper", Codec: "json", Pure: true}
	for range 2 {
		out, err := call(t, ex, fn, in)
		require.NoError(t, err)
		require.Equal(t, `"SAME"`, string(out))
	}
	require.EqualValues(t, 1, ex.Stats().ResultHits)
	fn.Codec = ""
	_, err := call(t, ex, fn, in)
	require.Error(t, err, "these are no CBOR")
}
