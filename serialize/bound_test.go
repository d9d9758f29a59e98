package serialize_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/serialize"
)

// What decoding allocates in all is at most the estimate times boundFactor,
// garbage included, plus boundSlack for what every decode costs.
const (
	boundFactor = 3 // encoding/json lets slices grow; with CBOR it is less than 2
	boundSlack  = 16 << 10
	// errorCost is the garbage of one item of the wrong type. A decoder goes on after
	// such an item, and keeps the first error alone.
	errorCost = 320
)

func factor(c serialize.Codec) uint64 {
	if c == serialize.CBOR {
		return 2
	}
	return boundFactor
}

// measured is a codec that decodes nothing, for the estimate alone.
type measured struct{ serialize.Codec }

func (measured) Decode([]byte, any) error { return errFaulty }

type (
	wideElem  struct{ A [32]int64 }
	manyPtrs  struct{ A, B, C, D *wideElem }
	withEmbed struct {
		*Exported
		*Wide
		N int
	}
	Wide struct{ W [64]int64 }
	ints struct {
		A []int16 `cbor:"1,keyasint"`
		B string  `cbor:"-2,keyasint"`
	}
	inOrder struct {
		_ struct{} `cbor:",toarray"`
		A []*wideElem
		B map[int]string
	}
	folded struct {
		K []wideElem
		S []int `json:"ſlow"`
	}
)

// hostileCBOR and hostileJSON are bodies that make the most of few bytes: n is
// the number of elements.
func hostileCBOR(n int) map[string][]byte {
	head := func(major byte) []byte { return binary.BigEndian.AppendUint32([]byte{major<<5 | 26}, uint32(n)) }
	array := func(item string) []byte {
		b, err := hex.DecodeString(item)
		if err != nil {
			panic(err)
		}
		return append(head(4), bytes.Repeat(b, n)...)
	}
	pairs := head(5)
	for i := range n {
		pairs = append(pairs, 0x64, byte('a'+i%26), byte('a'+i/26%26), byte('a'+i/676%26), byte('a'+i/676/26%26), 0xf6)
	}
	numbers := head(5)
	for i := range n {
		numbers = append(binary.BigEndian.AppendUint32(append(numbers, 0x1a), uint32(i)), 0x80)
	}
	deep := []byte(strings.Repeat("\x81", 250) + "\x00")
	return map[string][]byte{
		"nulls": array("f6"), "zeros": array("00"), "negatives": array("38ff"), "empty arrays": array("80"), "empty maps": array("a0"),
		"small maps": array("a1616100"), "small arrays": array("8100"), "strings": array("6161"), "empty strings": array("60"), "bytes": array("4101"),
		"floats": array("f93e00"), "tags": array("d8ff00"), "big": array("c24a01000000000000000000"), "large": array("1bffffffffffffffff"),
		"large negative": array("3bffffffffffffffff"), "pairs": pairs, "numbers": numbers, "deep": deep, "times": array("c11a00000001"),
		"known fields": array("a1614180"), "kings": array("a1614b80"), "numbered": array("a20182010221626161"), "ordered": array("82" + "8180" + "a10160"),
		"text": append(head(3), bytes.Repeat([]byte("x"), n)...), "blob": append(head(2), bytes.Repeat([]byte("x"), n)...),
		"eight":     array("a8616100616200616300616400616500616600616700616800"),
		"nine":      array("a9616100616200616300616400616500616600616700616800616900"),
		"list of X": append([]byte("\xa1\x61A"), array("80")...), "list of K": append([]byte("\xa1\x61K"), array("80")...), "list of 1": append([]byte("\xa1\x01"), array("00")...),
	}
}

func hostileJSON(n int) map[string][]byte {
	array := func(item string) []byte {
		return []byte("[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]")
	}
	out := map[string][]byte{
		"bad text": []byte(`"` + strings.Repeat("\xff", n) + `"`), "bad key": []byte(`{"` + strings.Repeat("\xff", n) + `":1}`), "escaped": []byte(`"` + strings.Repeat(`\u0061`, n) + `"`),
		"bad texts": array("\"\xff\""), "nul": array("\"\\u0000\""), "escaped key": array(`{"\u004b":[[],[],[]]}`), "kelvin": array("{\"\u212a\":[{},{},{}]}"), "long s": array(`{"SLOW":[1,2,3]}`),
		"known fields": array(`{"A":[1]}`), "kings": array(`{"K":[{},{}]}`), "base64": array(`"AAAA"`),
	}
	for name, data := range hostileCBOR(n) {
		if out[name] != nil {
			continue
		}
		var v any
		if cbor.Unmarshal(data, &v) != nil {
			continue
		}
		if b, err := json.Marshal(jsonable(v)); err == nil {
			out[name] = b
		}
	}
	return out
}

// jsonable makes keys strings.
func jsonable(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = jsonable(v[i])
		}
	case map[any]any:
		m := map[string]any{}
		for k, e := range v {
			b, err := json.Marshal(k)
			if err == nil {
				m[strings.Trim(string(b), `"`)] = jsonable(e)
			}
		}
		return m
	}
	return v
}

// boundTypes are what is decoded into.
var boundTypes = []reflect.Type{
	reflect.TypeFor[any](), reflect.TypeFor[[]any](), reflect.TypeFor[map[string]any](), reflect.TypeFor[map[any]any](), reflect.TypeFor[int](), reflect.TypeFor[string](),
	reflect.TypeFor[[]byte](), reflect.TypeFor[[]int8](), reflect.TypeFor[[]bool](), reflect.TypeFor[[][]byte](), reflect.TypeFor[[]string](), reflect.TypeFor[[][64]int](),
	reflect.TypeFor[[]wideElem](), reflect.TypeFor[[]*wideElem](), reflect.TypeFor[[]**wideElem](), reflect.TypeFor[[]*int8](), reflect.TypeFor[[]manyPtrs](), reflect.TypeFor[[]withEmbed](),
	reflect.TypeFor[map[string]int](), reflect.TypeFor[map[string]wideElem](), reflect.TypeFor[map[string]*wideElem](), reflect.TypeFor[map[int][]int](), reflect.TypeFor[map[[20]int64]bool](),
	reflect.TypeFor[[]map[string]int](), reflect.TypeFor[[]map[string]wideElem](), reflect.TypeFor[[4]wideElem](), reflect.TypeFor[[][4]*wideElem](), reflect.TypeFor[[]struct{}](),
	reflect.TypeFor[[]time.Time](), reflect.TypeFor[[]*big.Int](), reflect.TypeFor[[]netip.Addr](), reflect.TypeFor[[]cbor.RawMessage](), reflect.TypeFor[[]json.RawMessage](),
	reflect.TypeFor[[]ints](), reflect.TypeFor[ints](), reflect.TypeFor[[]inOrder](), reflect.TypeFor[folded](), reflect.TypeFor[[]folded](), reflect.TypeFor[[]json.Number](), reflect.TypeFor[node](),
	reflect.TypeFor[outer](), reflect.TypeFor[[]outer](), reflect.TypeFor[struct{ A [][16]int }](), reflect.TypeFor[error](), reflect.TypeFor[[][][]string](),
	reflect.TypeFor[[]secret](), reflect.TypeFor[map[string]secret](), reflect.TypeFor[[]*node](), reflect.TypeFor[rich](), reflect.TypeFor[[]Exported](), reflect.TypeFor[[]wrap](),
}

// boundCheck compares the estimate with what one decode allocates.
func boundCheck(tb testing.TB, r *serialize.Reducers, c serialize.Codec, data []byte, typ reflect.Type) (need, got uint64) {
	tb.Helper()
	fresh := func() any { return reflect.New(typ).Interface() }
	estimate, walked := serialize.Estimate(r, c, data, typ)
	if !walked {
		tb.Fatalf("%d bytes into %s take %d, but would not have been walked", len(data), typ, estimate)
	}
	need = uint64(estimate)
	v := fresh()
	_ = r.Decode(c, data, v, 0) // for the caches
	v = fresh()
	var err error
	got = allocated(func() { err = r.Decode(c, data, v, 0) })
	if err != nil {
		got -= min(got, errorCost*uint64(len(data)))
	}
	return need, got
}

//nolint:paralleltest // measures this process's allocations
func TestBound_hostile(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates more")
	}
	n := 1000
	if testing.Short() {
		n = 300
	}
	r := reducers(t, all...)
	for _, c := range []serialize.Codec{serialize.CBOR, plainJSON} {
		inputs := hostileCBOR(n)
		if c != serialize.CBOR {
			inputs = hostileJSON(n)
		}
		worst := 0.0
		for name, data := range inputs {
			for _, typ := range boundTypes {
				need, got := boundCheck(t, r, c, data, typ)
				if got > boundSlack {
					worst = max(worst, float64(got-boundSlack)/float64(need))
				}
				if got > need*factor(c)+boundSlack {
					t.Errorf("%s: %q (%d bytes) into %s took %d bytes, estimated %d", c.Name(), name, len(data), typ, got, need)
				}
			}
		}
		t.Logf("%s: at most %.2f times the estimate", c.Name(), worst)
	}
}

// The estimate is not only high enough: what is harmless is let through.
//
//nolint:paralleltest // measures this process's allocations
func TestBound_fair(t *testing.T) {
	r := reducers(t, all...)
	values := map[string]any{"x": richValue(), "list": make([]int, 1000), "maps": []map[string]int{{"a": 1}, {"b": 2}}, "text": strings.Repeat("x", 1000)}
	many := make([]any, 200)
	for i := range many {
		many[i] = values
	}
	for _, c := range []serialize.Codec{serialize.CBOR, plainJSON} {
		for _, in := range []any{many, []int{}, make([]int, 50_000), make([]wideElem, 1000), []rich{richValue(), richValue()}, "text"} {
			b, err := r.Encode(c, in)
			require.NoError(t, err)
			need, got := boundCheck(t, r, c, b, reflect.TypeOf(in))
			require.Less(t, need, 5*got+boundSlack, "%T with %s", in, c.Name())
			require.Less(t, got, factor(c)*need+boundSlack, "%T with %s", in, c.Name())
		}
	}
}

//nolint:paralleltest // measures this process's allocations
func TestBound_refusal(t *testing.T) {
	const limit = 1 << 20
	for _, c := range []serialize.Codec{serialize.CBOR, plainJSON} {
		data := hostileCBOR(8 << 10)["nulls"]
		if c != serialize.CBOR {
			data = hostileJSON(8 << 10)["nulls"]
		}
		for _, r := range []*serialize.Reducers{nil, reducers(t, all...)} {
			var out [][64]int
			var err error
			got := allocated(func() { err = r.Decode(c, data, &out, limit) })
			var e *serialize.Error
			require.ErrorAs(t, err, &e)
			var be *serialize.BoundError
			require.ErrorAs(t, err, &be)
			require.Equal(t, e.Err, be)
			require.EqualValues(t, limit, be.Max)
			require.Greater(t, be.Need, be.Max)
			require.ErrorContains(t, err, "are allowed")
			require.Less(t, got, uint64(64<<10))
			require.Nil(t, out)
			require.NoError(t, r.Decode(c, data, &out, 16<<20))
			require.Len(t, out, 8<<10)
			require.NoError(t, r.Decode(c, data, &out, 0), "no bound")
		}
	}
}

// Restored values are counted by their own size, not by that of what travels.
func TestBound_reduced(t *testing.T) {
	t.Parallel()
	type huge struct{ a [1 << 10]int64 }
	r := reducers(t, serialize.Reduce(nil, func(n int8) (huge, error) { return huge{[1 << 10]int64{int64(n)}}, nil }))
	for _, c := range []serialize.Codec{serialize.CBOR, plainJSON} {
		b, err := serialize.Encode(c, make([]int, 1000))
		require.NoError(t, err)
		var out []huge
		var be *serialize.BoundError
		require.ErrorAs(t, r.Decode(c, b, &out, 8_000_000), &be)
		require.NoError(t, r.Decode(c, b, &out, 32<<20))
		require.Len(t, out, 1000)
	}
}

// bounder is a codec with an estimate of its own.
type bounder struct{ plainJSONCodec }

func (bounder) Name() string                    { return "bounder" }
func (bounder) Bound(data []byte, v any) int64  { return int64(len(data)) * 100 }
func (bounder) Decode(data []byte, v any) error { return json.Unmarshal(data, v) }

func TestBound_bounder(t *testing.T) {
	t.Parallel()
	var v any
	var be *serialize.BoundError
	require.ErrorAs(t, (*serialize.Reducers)(nil).Decode(bounder{}, []byte(`[1]`), &v, 200), &be)
	require.Equal(t, &serialize.BoundError{Max: 200, Need: 300}, be)
	require.NoError(t, (*serialize.Reducers)(nil).Decode(bounder{}, []byte(`[1]`), &v, 300))
	require.NoError(t, (*serialize.Reducers)(nil).Decode(fmtCodec{}, []byte(`[1]`), &v, 1), "a codec without an estimate")
	require.NoError(t, (*serialize.Reducers)(nil).Decode(serialize.Raw, []byte(`[1]`), new([]byte), 1), "raw bytes are not copied")
}

func FuzzBound(f *testing.F) {
	for i, inputs := range []map[string][]byte{hostileCBOR(40), hostileJSON(40)} {
		for _, data := range inputs {
			for typ := range boundTypes {
				if typ%5 == len(data)%5 {
					f.Add(data, uint8(typ), i == 1)
				}
			}
		}
	}
	r := reducers(f, all...)
	f.Fuzz(func(t *testing.T, data []byte, typ uint8, isJSON bool) {
		c := serialize.CBOR
		if isJSON {
			c = plainJSON
		}
		into := boundTypes[int(typ)%len(boundTypes)]
		need, got := boundCheck(t, r, c, data, into)
		// The fuzzer's own goroutines allocate, too: the least of a few counts.
		for range 5 {
			if got <= need*factor(c)+boundSlack {
				return
			}
			_, again := boundCheck(t, r, c, data, into)
			got = min(got, again)
		}
		t.Fatalf("%q into %s took %d bytes, estimated %d", data, into, got, need)
	})
}

func BenchmarkBound(b *testing.B) {
	for _, c := range []serialize.Codec{serialize.CBOR, plainJSON} {
		for name, in := range map[string]any{"ints": make([]int, 10_000), "maps": func() any {
			m := make([]any, 1000)
			for i := range m {
				m[i] = map[string]any{"a": i, "b": "text", "c": []any{1.5, true}}
			}
			return m
		}(), "structs": make([]outer, 1000)} {
			data, err := serialize.Encode(c, in)
			require.NoError(b, err)
			for op, run := range map[string]func(v any) error{
				"decode": func(v any) error { return serialize.Decode(c, data, v) },
				"bound":  func(v any) error { return (*serialize.Reducers)(nil).Decode(measured{c}, data, v, 16<<20) },
			} {
				b.Run(c.Name()+"/"+name+"/"+op, func(b *testing.B) {
					b.SetBytes(int64(len(data)))
					b.ReportAllocs()
					for b.Loop() {
						_ = run(reflect.New(reflect.TypeOf(in)).Interface())
					}
				})
			}
		}
	}
}
