package serialize_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/serialize"
)

type named []byte

type inner struct {
	A int    `cbor:"a"`
	B string `cbor:"b,omitempty"`
}

type outer struct {
	inner

	List   []inner
	Map    map[string]*inner
	Ptr    *inner
	Iface  any
	Bytes  []byte
	Array  [3]uint16
	Time   time.Time
	Skip   string `cbor:"-"`
	hidden int
}

// roundTrip returns what in becomes.
func roundTrip[T any](t *testing.T, in T) T {
	t.Helper()
	c := serialize.CodecFor[T]()
	b, err := serialize.Encode(c, in)
	require.NoError(t, err, "%T", in)
	again, err := serialize.Encode(c, in)
	require.NoError(t, err)
	require.Equal(t, b, again, "deterministic")
	var out T
	require.NoError(t, serialize.Decode(c, b, &out), "%T", in)
	return out
}

func same[T any](t *testing.T, values ...T) {
	t.Helper()
	for _, v := range values {
		require.Equal(t, v, roundTrip(t, v))
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	same(t, true, false)
	same(t, 0, 1, -1, math.MaxInt64, math.MinInt64)
	same[int8](t, -128, 127)
	same[uint64](t, 0, math.MaxUint64)
	same(t, 0.0, 1.5, math.Inf(1), math.MaxFloat64, 1e-300)
	same[float32](t, 0.1, math.MaxFloat32)
	same(t, "", "text", "é\u2028\x00", strings.Repeat("x", 1<<20))
	same(t, []byte("raw"), []byte{}, bytes.Repeat([]byte{0xff}, 1<<20))
	same(t, named("cbor"), named{})
	same(t, []string{"a", ""}, []string{}, nil)
	same(t, []int(nil), make([]int, 100_000))
	same(t, map[string]int{"a": 1, "b": 2}, map[string]int{}, nil)
	same(t, map[int][]string{-1: {"x"}})
	same(t, [2]bool{true, false})
	same(t, struct{}{})
	same(t, new(int), (*int)(nil))
	same(t, big.NewInt(0), new(big.Int).Lsh(big.NewInt(-5), 300))
	same(t, 90*time.Second)
	same(t, time.Date(2026, 11, 22, 1, 2, 3, 4, time.UTC))
	same[any](t, nil, int64(-3), "x", []any{int64(1), nil}, map[string]any{"k": 1.5}, []byte{1})
	same(t, outer{
		inner: inner{A: 1, B: "b"}, List: []inner{{A: 2}}, Map: map[string]*inner{"x": {A: 3}, "nil": nil}, Ptr: &inner{},
		Iface: map[string]any{"a": []any{true}}, Bytes: []byte{}, Array: [3]uint16{1, 2, 3}, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	})
	require.Zero(t, roundTrip(t, outer{Skip: "x", hidden: 1}))
	require.True(t, math.IsNaN(roundTrip(t, math.NaN())))
}

func TestCodecFor(t *testing.T) {
	t.Parallel()
	require.Equal(t, serialize.Raw, serialize.CodecFor[[]byte]())
	require.Equal(t, serialize.Raw, serialize.CodecFor[[]uint8]())
	require.Equal(t, serialize.CBOR, serialize.CodecFor[named](), "a named type has a name of its own")
	require.Equal(t, serialize.CBOR, serialize.CodecFor[string]())
	require.Equal(t, serialize.CBOR, serialize.CodecFor[any]())
	require.Equal(t, serialize.CBOR, serialize.CodecFor[*[]byte]())
	require.Equal(t, "raw", serialize.Raw.Name())
	require.Equal(t, "cbor", serialize.CBOR.Name())
}

func TestRaw_noCopy(t *testing.T) {
	t.Parallel()
	in := []byte("x")
	b, err := serialize.Encode(serialize.Raw, in)
	require.NoError(t, err)
	require.Same(t, &in[0], &b[0])
	var out []byte
	require.NoError(t, serialize.Decode(serialize.Raw, in, &out))
	require.Same(t, &in[0], &out[0])
}

// faulty fails in its methods.
//
//nolint:recvcheck // the codec needs exactly these
type faulty struct{ how string }

var errFaulty = errors.New("faulty on purpose")

func (f faulty) MarshalCBOR() ([]byte, error) {
	switch f.how {
	case "panic":
		panic("marshal\npanicked")
	case "nil map":
		var m map[string]int
		m["x"] = 1 //nolint:govet,staticcheck // it is to panic
	case "garbage":
		return []byte{0xff}, nil
	}
	return nil, errFaulty
}

func (f *faulty) UnmarshalCBOR(b []byte) error {
	if b[0] == 1 {
		panic(errFaulty)
	}
	return errFaulty
}

func TestErrors(t *testing.T) {
	t.Parallel()
	decode := func(c serialize.Codec, input string, v any) func() error {
		return func() error {
			b, err := hex.DecodeString(input)
			if err != nil {
				return err
			}
			return serialize.Decode(c, b, v)
		}
	}
	encode := func(c serialize.Codec, v any) func() error {
		return func() error {
			b, err := serialize.Encode(c, v)
			if b != nil {
				return fmt.Errorf("returned %x beside %w", b, err)
			}
			return err
		}
	}
	for name, tc := range map[string]struct {
		do                    func() error
		op, codec, kind, text string
	}{
		"raw of a string":       {encode(serialize.Raw, "x"), "encode", "raw", "string", "type []byte"},
		"raw of nil":            {encode(serialize.Raw, nil), "encode", "raw", "<nil>", "type []byte"},
		"raw into a string":     {decode(serialize.Raw, "", new(string)), "decode", "raw", "string", "type []byte"},
		"channel":               {encode(serialize.CBOR, make(chan int)), "encode", "cbor", "chan int", "unsupported type"},
		"function inside":       {encode(serialize.CBOR, []any{func() {}}), "encode", "cbor", "[]interface {}", "unsupported type"},
		"marshal error":         {encode(serialize.CBOR, faulty{}), "encode", "cbor", "serialize_test.faulty", "faulty on purpose"},
		"marshal panic":         {encode(serialize.CBOR, faulty{"panic"}), "encode", "cbor", "serialize_test.faulty", "panic: marshal"},
		"marshal runtime panic": {encode(serialize.CBOR, &faulty{"nil map"}), "encode", "cbor", "*serialize_test.faulty", "panic: assignment to entry in nil map"},
		"marshal garbage":       {encode(serialize.CBOR, faulty{"garbage"}), "encode", "cbor", "serialize_test.faulty", ""},
		"unmarshal error":       {decode(serialize.CBOR, "00", new(faulty)), "decode", "cbor", "serialize_test.faulty", "faulty on purpose"},
		"unmarshal panic":       {decode(serialize.CBOR, "01", new(faulty)), "decode", "cbor", "serialize_test.faulty", "panic: faulty on purpose"},
		"nothing":               {decode(serialize.CBOR, "", new(int)), "decode", "cbor", "int", "EOF"},
		"other type":            {decode(serialize.CBOR, "6161", new(int)), "decode", "cbor", "int", "cannot unmarshal"},
		"overflow":              {decode(serialize.CBOR, "190100", new(int8)), "decode", "cbor", "int8", "overflow"},
		"into nil":              {decode(serialize.CBOR, "00", nil), "decode", "cbor", "<nil>", ""},
		"into no pointer":       {decode(serialize.CBOR, "00", 5), "decode", "cbor", "int", ""},
		"into a nil pointer":    {decode(serialize.CBOR, "00", (*int)(nil)), "decode", "cbor", "int", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tc.do()
			var e *serialize.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, e, err, "not wrapped any further")
			require.Equal(t, []string{tc.op, tc.codec, tc.kind}, []string{e.Op, e.Codec, e.Type})
			require.ErrorContains(t, err, tc.text)
			require.NotContains(t, err.Error(), "\n")
			require.True(t, strings.HasPrefix(err.Error(), tc.op+" "+tc.kind+" with "+tc.codec+": "), err.Error())
			require.Equal(t, e.Err, errors.Unwrap(err))
		})
	}
	_, err := serialize.Encode(serialize.CBOR, faulty{})
	require.ErrorIs(t, err, errFaulty)
}

func TestDecode_hostile(t *testing.T) {
	t.Parallel()
	for name, input := range map[string]string{
		"deep arrays":          strings.Repeat("81", 1<<16) + "01",
		"deep maps":            strings.Repeat("a100", 1<<16) + "01",
		"deep tags":            strings.Repeat("c1", 1<<16) + "01",
		"array of 2^64-1":      "9bffffffffffffffff",
		"array of 2^31":        "9a7fffffff",
		"map of 2^31":          "ba7fffffff",
		"bytes of 2^62":        "5b4000000000000000",
		"text of 2^32":         "7b0000000100000000",
		"duplicate keys":       "a2616101616102",
		"duplicate, deep down": "81a2616101616102",
		"invalid UTF-8":        "62c328",
		"invalid UTF-8 key":    "a162c32801",
		"surrogate":            "63eda080",
		"two items":            "0000",
		"indefinite":           "9f01ff",
		"indefinite text":      "7f6161ff",
		"reserved":             "1c",
		"break":                "ff",
		"simple in two bytes":  "f818",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := hex.DecodeString(input)
			require.NoError(t, err)
			for _, v := range []any{new(any), new([]any), new(map[string]any), new(outer), new([]byte), new(string)} {
				err := serialize.Decode(serialize.CBOR, b, v)
				var e *serialize.Error
				require.ErrorAs(t, err, &e, "%T", v)
				require.Less(t, len(err.Error()), 1000)
			}
		})
	}
}

func TestDecode_hostileText(t *testing.T) {
	t.Parallel()
	for name, text := range hostile {
		for _, in := range []any{text, map[string]string{text: "x"}, []any{text}} {
			b, err := serialize.Encode(serialize.CBOR, in)
			require.NoError(t, err)
			if m, ok := in.(map[string]string); ok {
				// The same key twice, for a decoder that names it.
				item, err := serialize.Encode(serialize.CBOR, m)
				require.NoError(t, err)
				b = append([]byte{0xa2}, append(item[1:], item[1:]...)...)
			}
			for _, v := range []any{new(map[string]string), new(time.Time), new(big.Int), new(map[any]any), new(struct{ A int })} {
				err := serialize.Decode(serialize.CBOR, b, v)
				if err == nil {
					continue
				}
				require.Less(t, len(err.Error()), 16<<10, name)
				for _, r := range err.Error() {
					require.NotContains(t, "\n\r\x1b\x00\x01\u202e", string(r), name)
				}
			}
		}
	}
}

//nolint:paralleltest // measures this process's allocations
func TestDecode_claimedLengths(t *testing.T) {
	for _, input := range []string{"9a7fffffff", "ba7fffffff", "5a7fffffff", "7a7fffffff", "8100" + "9a7fffffff", "9b00000000ffffffff00"} {
		b, err := hex.DecodeString(input)
		require.NoError(t, err)
		for _, v := range []any{new(any), new([][64]int), new(map[string][64]int), new([]byte), new(string)} {
			got := allocated(func() { err = serialize.Decode(serialize.CBOR, b, v) })
			require.Error(t, err)
			require.Less(t, got, uint64(64<<10), "%s into %T", input, v)
		}
	}
}

// TestDecode_amplification pins the bound that the codec's documentation gives:
// one byte can become one element.
//
//nolint:paralleltest // measures this process's allocations
func TestDecode_amplification(t *testing.T) {
	const n = 64 << 10
	b := append([]byte{0x9a, 0, n >> 16, n >> 8 & 0xff, n & 0xff}, bytes.Repeat([]byte{0xf6}, n)...)
	var out [][64]int
	var err error
	got := allocated(func() { err = serialize.Decode(serialize.CBOR, b, &out) })
	require.NoError(t, err)
	require.Len(t, out, n)
	require.Less(t, got, uint64(n*512*5/4))
}

func FuzzDecode(f *testing.F) {
	for _, v := range []any{1, "x", []any{1, "a", nil}, map[string]any{"a": 1}, outer{Map: map[string]*inner{"x": {A: 1}}}, time.Now(), big.NewInt(7)} {
		b, err := serialize.Encode(serialize.CBOR, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var v any
		check(t, in, &v)
		var s outer
		check(t, in, &s)
		var m map[int]time.Time
		check(t, in, &m)
	})
}

// check decodes; what is accepted survives another round.
func check[T any](t *testing.T, in []byte, v *T) {
	t.Helper()
	err := serialize.Decode(serialize.CBOR, in, v)
	if err != nil {
		var e *serialize.Error
		if !errors.As(err, &e) || strings.Contains(err.Error(), "panic: ") {
			t.Fatalf("%x: %v", in, err)
		}
		return
	}
	b, err := serialize.Encode(serialize.CBOR, *v)
	if err != nil {
		return // a year beyond 9999, say
	}
	again := new(T)
	if err := serialize.Decode(serialize.CBOR, b, again); err != nil {
		t.Fatalf("%x became %x: %v", in, b, err)
	}
	twice, err := serialize.Encode(serialize.CBOR, *again)
	if err != nil || !bytes.Equal(b, twice) {
		t.Fatalf("%x became %x and then %x (%v)", in, b, twice, err)
	}
}
