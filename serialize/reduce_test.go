package serialize_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/serialize"
)

// secret has nothing that a codec could see.
type secret struct{ n int }

// sealed is known by its pointer.
type sealed struct{ s string }

type (
	point struct{ x, y int }
	wrap  struct{ S secret } // travels as an R that has a reducer itself
	kind  int
	list  []secret
	base  struct {
		ID   secret
		Note string `json:"note,omitempty"`
	}
	Exported struct{ E secret }
)

// IsZero makes omitzero differ from the zero value.
func (p point) IsZero() bool { return p.x == 0 }

type node struct {
	Next *node           `json:"next,omitempty"`
	Kids []*node         `json:"kids,omitempty"`
	Map  map[string]node `json:"map,omitempty"`
	X    secret
}

type rich struct {
	Plain   string `json:"plain" cbor:"p"`
	S       secret
	P       *secret
	PP      **secret
	Slice   []secret
	Named   list
	Array   [2]secret
	ByName  map[string]secret
	Keys    map[secret]string
	Kinds   map[kind][]secret
	Deep    []map[string]*[1]secret
	Sealed  *sealed
	Sealeds []*sealed
	Wrap    []wrap
	At      time.Time
	Big     *big.Int
	Bytes   []byte
	Left    point  `json:"left,omitzero"`
	Empty   kind   `json:"empty,omitempty"`
	Inner   *inner `json:",omitempty"`
	Node    *node
	base
	*Exported

	hidden int //nolint:unused // an unexported field: it must not travel
}

var errReduce = errors.New("not that one")

func stringToSecret(s string) (secret, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(s, "secret "))
	return secret{n}, err
}

// all are reducers of everything above.
var all = []serialize.Reducer{
	serialize.Reduce(func(s secret) (string, error) { return "secret " + strconv.Itoa(s.n), nil }, stringToSecret),
	serialize.Reduce(func(s *sealed) ([]byte, error) { return []byte(s.s), nil }, func(b []byte) (*sealed, error) { return &sealed{string(b)}, nil }),
	serialize.Reduce(func(w wrap) ([1]secret, error) { return [1]secret{w.S}, nil }, func(a [1]secret) (wrap, error) { return wrap{a[0]}, nil }),
	serialize.Reduce(func(p point) (map[string]int, error) { return map[string]int{"x": p.x, "y": p.y}, nil },
		func(m map[string]int) (point, error) { return point{m["x"], m["y"]}, nil }),
	serialize.Reduce(func(k kind) (string, error) { return strings.Repeat("k", int(k)), nil }, func(s string) (kind, error) { return kind(len(s)), nil }),
}

func reducers(tb testing.TB, rs ...serialize.Reducer) *serialize.Reducers {
	tb.Helper()
	r, err := serialize.NewReducers(rs...)
	require.NoError(tb, err)
	return r
}

func eachCodec(t *testing.T, f func(t *testing.T, c serialize.Codec)) {
	t.Helper()
	for _, c := range []serialize.Codec{serialize.CBOR, plainJSON} {
		t.Run(c.Name(), func(t *testing.T) {
			t.Parallel()
			f(t, c)
		})
	}
}

// through returns what in becomes with r and c.
func through[T any](t *testing.T, r *serialize.Reducers, c serialize.Codec, in T) T {
	t.Helper()
	b, err := r.Encode(c, in)
	require.NoError(t, err, "%T", in)
	out := new(T)
	require.NoError(t, r.Decode(c, b, out, 1<<30), "%s", b)
	return *out
}

func richValue() rich {
	s := &secret{7}
	return rich{
		Plain: "x", S: secret{1}, P: s, PP: &s, Slice: []secret{{1}, {}}, Named: list{{2}}, Array: [2]secret{{3}, {4}},
		ByName: map[string]secret{"a": {5}}, Keys: map[secret]string{{6}: "six"}, Kinds: map[kind][]secret{3: {{8}}, 4: nil},
		Deep: []map[string]*[1]secret{nil, {"k": {{9}}, "nil": nil}}, Sealed: &sealed{"s"}, Sealeds: []*sealed{nil, {""}, {"b"}},
		Wrap: []wrap{{secret{10}}}, At: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Big: big.NewInt(99), Bytes: []byte{1}, Left: point{1, 2},
		Empty: 2, Inner: &inner{A: 1, B: "b"}, base: base{ID: secret{11}, Note: "n"}, Exported: &Exported{secret{12}},
		Node: &node{X: secret{1}, Next: &node{X: secret{2}}, Kids: []*node{nil, {X: secret{3}}}, Map: map[string]node{"m": {X: secret{4}, Kids: []*node{{}}}}},
	}
}

func TestReducers_roundTrip(t *testing.T) {
	t.Parallel()
	r := reducers(t, all...)
	eachCodec(t, func(t *testing.T, c serialize.Codec) {
		t.Helper()
		in := richValue()
		require.Equal(t, in, through(t, r, c, in))
		require.Equal(t, &in, through(t, r, c, &in))
		require.Equal(t, rich{}, through(t, r, c, rich{}))
		require.Equal(t, richValue(), in, "left as it was")

		require.Equal(t, secret{3}, through(t, r, c, secret{3}))
		require.Equal(t, &sealed{"x"}, through(t, r, c, &sealed{"x"}))
		require.Nil(t, through[*sealed](t, r, c, nil))
		require.Equal(t, list{{1}}, through(t, r, c, list{{1}}))
		require.Nil(t, through[list](t, r, c, nil))
		require.Equal(t, list{}, through(t, r, c, list{}))
		require.Equal(t, wrap{secret{1}}, through(t, r, c, wrap{secret{1}}))
		require.Equal(t, inner{A: 1}, through(t, r, c, inner{A: 1}), "nothing to reduce")
		require.Equal(t, 5, through(t, r, c, 5))
		require.Nil(t, through[any](t, r, c, nil))
	})
}

// TestReducers_text pins what travels: it must be what the codec would make of a
// type written by hand.
func TestReducers_text(t *testing.T) {
	t.Parallel()
	r := reducers(t, all...)
	type tagged struct {
		base `json:"b"`
		Opt  *secret        `json:"opt,omitempty"`
		List []secret       `json:",omitempty"`
		M    map[string]any `json:"m,omitempty"`
		Zero secret         `json:"zero,omitzero"`
		Skip secret         `json:"-"`
		Any  any
	}
	type twice struct {
		base
		Base string
	}
	type array struct {
		_ struct{} `cbor:",toarray"`
		A secret
		B int
	}
	for _, tc := range []struct {
		in        any
		json      string
		cborValue any // what encodes to the same CBOR
	}{
		{secret{1}, `"secret 1"`, "secret 1"},
		{[]any{secret{1}, &secret{2}, []secret{{3}}, 4, nil, map[string]any{"k": secret{5}}}, `["secret 1","secret 2",["secret 3"],4,null,{"k":"secret 5"}]`, nil},
		{map[string]error{"e": errors.New("x")}, `{"e":{}}`, nil},
		{tagged{}, `{"b":{"ID":"secret 0"},"Any":null}`, nil},
		{
			tagged{Zero: secret{1}, List: []secret{{2}}, M: map[string]any{"x": kind(1)}, Any: point{1, 2}},
			`{"b":{"ID":"secret 0"},"List":["secret 2"],"m":{"x":"k"},"zero":"secret 1","Any":{"x":1,"y":2}}`, nil,
		},
		{twice{base{ID: secret{1}}, "b"}, `{"ID":"secret 1","Base":"b"}`, nil},
		{rich{}.Node, `null`, nil},
		{node{}, `{"X":"secret 0"}`, map[string]string{"X": "secret 0"}},
		{struct {
			Left point `json:"left,omitzero"`
		}{point{0, 5}}, `{}`, map[string]int{}},
		{struct {
			Left point `json:"left,omitempty"` //nolint:modernize // that omitempty keeps it is what is tested
		}{}, `{"left":{"x":0,"y":0}}`, nil},
		{struct {
			K kind `json:"k,omitempty"`
		}{}, `{}`, map[string]int{}},
		{array{A: secret{1}, B: 2}, `{"A":"secret 1","B":2}`, []any{"secret 1", 2}},
		{struct{ *node }{&node{X: secret{1}}}, `{"X":"secret 1"}`, nil},
		{struct{ secretly any }{secret{1}}, `{}`, nil},
		{struct{ T any }{time.Time{}}, `{"T":"0001-01-01T00:00:00Z"}`, nil},
	} {
		b, err := r.Encode(plainJSON, tc.in)
		require.NoError(t, err)
		require.Equal(t, tc.json, string(b), "%#v", tc.in)
		got, err := r.Encode(serialize.CBOR, tc.in)
		require.NoError(t, err)
		if tc.cborValue != nil {
			want, err := serialize.Encode(serialize.CBOR, tc.cborValue)
			require.NoError(t, err)
			require.Equal(t, hex.EncodeToString(want), hex.EncodeToString(got), "%#v", tc.in)
		}
	}
}

func TestNewReducers_refuses(t *testing.T) {
	t.Parallel()
	to := func(s string) (secret, error) { return secret{}, nil }
	type holder struct{ P wrap }
	for name, tc := range map[string]struct {
		reducers []serialize.Reducer
		text     string
	}{
		"nothing":       {[]serialize.Reducer{serialize.Reduce[secret, string](nil, nil)}, "neither reduce nor restore"},
		"itself":        {[]serialize.Reducer{serialize.Reduce(func(s secret) (secret, error) { return s, nil }, nil)}, "onto itself"},
		"interface":     {[]serialize.Reducer{serialize.Reduce(func(error) (string, error) { return "", nil }, nil)}, "an interface type"},
		"any":           {[]serialize.Reducer{serialize.Reduce(func(any) (string, error) { return "", nil }, nil)}, "an interface type"},
		"duplicate":     {[]serialize.Reducer{serialize.Reduce(nil, to), serialize.Reduce(nil, to)}, "two reducers of serialize_test.secret"},
		"zero":          {[]serialize.Reducer{{}}, "did not make"},
		"circle":        {[]serialize.Reducer{serialize.Reduce(func(secret) (wrap, error) { return wrap{}, nil }, nil), serialize.Reduce(func(wrap) (secret, error) { return secret{}, nil }, nil)}, "leads back"},
		"circle of two": {[]serialize.Reducer{serialize.Reduce[secret, *wrap](nil, func(*wrap) (secret, error) { return secret{}, nil }), serialize.Reduce[*wrap, secret](nil, func(secret) (*wrap, error) { return nil, nil })}, "leads back"},
		"holds itself":  {[]serialize.Reducer{serialize.Reduce(func(wrap) (holder, error) { return holder{}, nil }, nil)}, "serialize_test.holder leads back to serialize_test.wrap"},
		"in an array":   {[]serialize.Reducer{serialize.Reduce(func(wrap) ([2]wrap, error) { return [2]wrap{}, nil }, nil)}, "leads back"},
	} {
		r, err := serialize.NewReducers(tc.reducers...)
		require.ErrorContains(t, err, tc.text, name)
		require.Nil(t, r, name)
	}
	_, err := serialize.NewReducers(serialize.Reducer{}, serialize.Reduce[secret, string](nil, nil))
	require.ErrorContains(t, err, "did not make")
	require.ErrorContains(t, err, "neither", "all of them")
	_, err = serialize.NewReducers()
	require.NoError(t, err)
}

// tree travels as something that holds trees again.
type tree struct{ kids []*tree }

type treeData struct {
	Kids []*tree
	Any  any
}

func TestReducers_recursive(t *testing.T) {
	t.Parallel()
	r := reducers(t, append(all,
		serialize.Reduce(func(n tree) (treeData, error) { return treeData{Kids: n.kids}, nil }, func(d treeData) (tree, error) { return tree{d.Kids}, nil }))...)
	eachCodec(t, func(t *testing.T, c serialize.Codec) {
		t.Helper()
		in := tree{kids: []*tree{{}, {kids: []*tree{nil, {kids: []*tree{}}}}}}
		out := through(t, r, c, in)
		require.Equal(t, "[[] [<nil> []]]", in.String())
		require.Equal(t, in.String(), out.String())

		long := &node{}
		for range 100 {
			long = &node{Next: long, X: secret{1}}
		}
		require.Equal(t, long, through(t, r, c, long))
	})
	cycle := &tree{}
	cycle.kids = []*tree{cycle}
	_, err := r.Encode(serialize.CBOR, cycle)
	require.ErrorContains(t, err, "cyclic, or nested deeper")
}

func (t tree) String() string {
	var parts []string
	for _, k := range t.kids {
		if k == nil {
			parts = append(parts, "<nil>")
		} else {
			parts = append(parts, k.String())
		}
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// A hostile nesting of a recursive type costs neither the stack nor the square
// of its size.
func TestReducers_deepData(t *testing.T) {
	t.Parallel()
	r := reducers(t, all...)
	var n node
	data := strings.Repeat(`{"next":`, 2000) + `null` + strings.Repeat(`}`, 2000)
	require.ErrorContains(t, r.Decode(plainJSON, []byte(data), &n, 0), "deeper than 256 levels")
	wide := strings.Repeat(`{"next":`, 250) + `{"Pad":"` + strings.Repeat("x", 256<<10) + `"}` + strings.Repeat(`}`, 250)
	require.ErrorContains(t, r.Decode(plainJSON, []byte(wide), &n, 0), "too much data too deep")
}

type method struct{ S secret }

func (method) MarshalText() ([]byte, error) { return []byte("mine"), nil }

func TestReducers_leaves(t *testing.T) {
	t.Parallel()
	r := reducers(t, all...)
	b, err := r.Encode(plainJSON, []any{method{secret{1}}, []secret{{2}}})
	require.NoError(t, err)
	require.Equal(t, `["mine",["secret 2"]]`, string(b))
	own := reducers(t, serialize.Reduce(func(m method) (int, error) { return 5, nil }, nil))
	b, err = own.Encode(plainJSON, []any{method{}})
	require.NoError(t, err)
	require.Equal(t, `[5]`, string(b), "a reducer goes before its methods")
	var m []method
	require.Error(t, own.Decode(plainJSON, []byte(`[5]`), &m, 0), "one way only")
}

func TestReducers_oneWay(t *testing.T) {
	t.Parallel()
	in := reducers(t, serialize.Reduce(func(k kind) (kind2, error) { return kind2(k + 1), nil }, nil))
	out := reducers(t, serialize.Reduce(nil, func(k kind2) (kind, error) { return kind(k * 7), nil }))
	// (1+5)·7 = 42: first the one, then the other (loky's test of serialization).
	eachCodec(t, func(t *testing.T, c serialize.Codec) {
		t.Helper()
		b, err := in.Encode(c, []kind{5})
		require.NoError(t, err)
		var ks []kind
		require.NoError(t, out.Decode(c, b, &ks, 0))
		require.Equal(t, []kind{42}, ks)
		require.NoError(t, in.Decode(c, b, &ks, 0), "not in this direction")
		require.Equal(t, []kind{6}, ks)
		b, err = out.Encode(c, []any{kind(5)})
		require.NoError(t, err)
		require.NoError(t, serialize.Decode(c, b, &ks), "sets know nothing of each other")
		require.Equal(t, []kind{5}, ks)
	})
}

type kind2 int

func TestReducers_errors(t *testing.T) {
	t.Parallel()
	fail := reducers(t,
		serialize.Reduce(func(secret) (string, error) { return "", errReduce }, func(string) (secret, error) { return secret{}, errReduce }),
		serialize.Reduce(func(kind) (string, error) { panic("reduce\npanicked") }, func(string) (kind, error) { panic(errReduce) }),
		serialize.Reduce(func(sealed) ([]int, error) { return nil, nil }, nil),
		serialize.Reduce(func(point) (string, error) { return "same", nil }, func(string) (point, error) { return point{}, nil }),
	)
	eachCodec(t, func(t *testing.T, c serialize.Codec) {
		t.Helper()
		for _, tc := range []struct {
			in   any
			text []string
		}{
			{[]secret{{}}, []string{"reduce serialize_test.secret: not that one", "[]serialize_test.secret"}},
			{[]any{kind(1)}, []string{"reduce serialize_test.kind: panic: reduce", "[]interface {}"}},
			{map[sealed]int{}, []string{"no type for a key"}},
			{map[any]int{sealed{}: 1}, []string{"cannot be one"}},
			{map[point]int{{1, 0}: 1, {2, 0}: 2}, []string{"became the same"}},
		} {
			_, err := fail.Encode(c, tc.in)
			var e *serialize.Error
			require.ErrorAs(t, err, &e, "%T", tc.in)
			require.Equal(t, e, err)
			require.Equal(t, "encode", e.Op)
			for _, text := range tc.text {
				require.ErrorContains(t, err, text)
			}
			require.NotContains(t, err.Error(), "\n")
		}
		for _, tc := range []struct {
			out  any
			text string
		}{
			{new([]secret), "restore serialize_test.secret: not that one"},
			{new([]kind), "restore serialize_test.kind: panic: not that one"},
			{new([]int), ""},
		} {
			b, err := serialize.Encode(c, []string{"x"})
			require.NoError(t, err)
			err = fail.Decode(c, b, tc.out, 0)
			var e *serialize.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, "decode", e.Op)
			require.ErrorContains(t, err, tc.text)
		}
		require.Error(t, fail.Decode(c, nil, nil, 0))
		require.Error(t, fail.Decode(c, nil, secret{}, 0))
		require.Error(t, fail.Decode(c, nil, (*secret)(nil), 5))
	})
	b, err := serialize.Encode(plainJSON, map[string]int{"a": 1, "b": 2})
	require.NoError(t, err)
	require.ErrorContains(t, fail.Decode(plainJSON, b, new(map[point]int), 0), "became the same")
}

func TestReducers_null(t *testing.T) {
	t.Parallel()
	calls := 0
	r := reducers(t, serialize.Reduce(func(s secret) ([]int, error) { return nil, nil },
		func(n []int) (secret, error) { calls++; return secret{len(n) + 9}, nil }))
	eachCodec(t, func(t *testing.T, c serialize.Codec) {
		t.Helper()
		b, err := r.Encode(c, []*secret{nil, {}})
		require.NoError(t, err)
		var raw []any
		require.NoError(t, serialize.Decode(c, b, &raw))
		require.Equal(t, []any{nil, []any{}}, raw, "nil, but not null")
	})
	var out struct{ A, B secret }
	require.NoError(t, r.Decode(plainJSON, []byte(`{"A":null}`), &out, 0))
	require.Zero(t, out)
	require.Zero(t, calls)
	out.B.n = 3
	require.NoError(t, r.Decode(plainJSON, []byte(`{"A":[1]}`), &out, 0))
	require.Equal(t, 10, out.A.n)
	require.Zero(t, out.B, "what was there is lost")
}

func TestReducers_raw(t *testing.T) {
	t.Parallel()
	r := reducers(t, serialize.Reduce(func(s secret) ([]byte, error) { return []byte{byte(s.n)}, nil }, func(b []byte) (secret, error) { return secret{int(b[0])}, nil }))
	require.Equal(t, secret{5}, through(t, r, serialize.Raw, secret{5}))
	in := []byte("x")
	b, err := r.Encode(serialize.Raw, in)
	require.NoError(t, err)
	require.Same(t, &in[0], &b[0])
}

// fmtCodec gives no raw items.
type fmtCodec struct{ plainJSONCodec }

func (fmtCodec) Name() string { return "fmt" }

func (fmtCodec) Decode(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if fmt.Sprintf("%T", v) == "*[]serialize.rawItem" {
		return errReduce
	}
	return dec.Decode(v)
}

func TestReducers_otherCodecs(t *testing.T) {
	t.Parallel()
	r := reducers(t, all...)
	require.Equal(t, []secret{{1}}, through(t, r, fmtCodec{}, []secret{{1}}))
	b, err := r.Encode(fmtCodec{}, node{})
	require.NoError(t, err)
	require.ErrorContains(t, r.Decode(fmtCodec{}, b, new(node), 0), "takes a codec that gives raw items")
}

func TestReducers_concurrent(t *testing.T) {
	t.Parallel()
	r := reducers(t, all...)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				b, err := r.Encode(serialize.CBOR, richValue())
				var out rich
				if err == nil {
					err = r.Decode(serialize.CBOR, b, &out, 1<<30)
				}
				if err != nil || out.Node.Next.X.n != 2 {
					t.Error(err, out)
				}
			}
		})
	}
	wg.Wait()
}

// The types of one set do not depend on which of them was met first.
func TestReducers_order(t *testing.T) {
	t.Parallel()
	want := `{"next":{"X":"secret 2"},"X":"secret 1"}`
	in := &node{Next: &node{X: secret{2}}, X: secret{1}}
	for _, first := range []any{nil, node{}, []*node{}, []node{}, map[string]node{}, richValue()} {
		r := reducers(t, all...)
		_, err := r.Encode(plainJSON, first)
		require.NoError(t, err)
		b, err := r.Encode(plainJSON, in)
		require.NoError(t, err)
		require.JSONEq(t, want, string(b))
		var out *node
		require.NoError(t, r.Decode(plainJSON, b, &out, 0))
		require.Equal(t, in, out)
	}
}
