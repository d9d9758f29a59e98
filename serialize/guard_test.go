package serialize_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/serialize"
)

type (
	chain struct{ Next *chain }
	bush  []bush
	maze  map[string]maze
	ring  *ring
	holds struct{ V any }
	mixed struct {
		N    int
		When time.Time
		M    map[string]*mixed
		a    *mixed
	}
)

// onlyJSON has a method that CBOR does not ask for; ownCBOR handles its cycles.
type (
	onlyJSON struct{ Next *onlyJSON }
	ownCBOR  struct{ Next *ownCBOR }
)

func (*onlyJSON) MarshalJSON() ([]byte, error) { return []byte("1"), nil }
func (*ownCBOR) MarshalCBOR() ([]byte, error)  { return []byte{1}, nil }

func TestEncode_cyclesByMethod(t *testing.T) {
	t.Parallel()
	j := &onlyJSON{}
	j.Next = j
	_, err := serialize.Encode(serialize.CBOR, j)
	require.ErrorContains(t, err, "cyclic")
	b, err := serialize.Encode(plainJSON, []any{j})
	require.NoError(t, err)
	require.Equal(t, "[1]", string(b))
	o := &ownCBOR{}
	o.Next = o
	b, err = serialize.Encode(serialize.CBOR, o)
	require.NoError(t, err)
	require.Equal(t, []byte{1}, b)
}

func chainOf(n int) (c *chain) {
	for range n {
		c = &chain{c}
	}
	return c
}

func nested(n int) (v any) {
	for range n {
		v = []any{v}
	}
	return v
}

func TestEncode_cycles(t *testing.T) {
	t.Parallel()
	next := &chain{}
	next.Next = next
	b := bush{nil}
	b[0] = b
	m := maze{}
	m["m"] = m
	var r ring
	r = &r
	list := []any{1, nil}
	list[1] = map[string]any{"list": list}
	var p any
	p = &p
	h := &holds{}
	h.V = h
	keys := map[any]int{h: 1}
	mix := &mixed{M: map[string]*mixed{}}
	mix.M["m"] = mix
	embedded := struct{ *chain }{next}
	withReducers := reducers(t, all...)
	for name, v := range map[string]any{
		"pointer": next, "slice": b, "map": m, "only pointers": r, "any": list, "pointer to any": &p, "field": h, "value": *h, "key": keys, "map of structs": mix,
		"embedded": embedded, "in a struct": struct{ A, B any }{1, []any{next}}, "named in any": []any{b},
	} {
		for _, c := range []serialize.Codec{serialize.CBOR, plainJSON} {
			for _, r := range []*serialize.Reducers{nil, withReducers} {
				_, err := r.Encode(c, v)
				var e *serialize.Error
				require.ErrorAs(t, err, &e, name)
				require.ErrorContains(t, err, "cyclic", name)
				require.Equal(t, fmt.Sprintf("%T", v), e.Type)
			}
		}
	}
	n := &node{}
	n.Kids = []*node{nil, n}
	_, err := withReducers.Encode(serialize.CBOR, n)
	require.ErrorContains(t, err, "cyclic: a pointer, map or slice holds itself")
}

func TestEncode_deep(t *testing.T) {
	t.Parallel()
	for _, v := range []any{chainOf(1 << 17), nested(1 << 17), []any{chainOf(1 << 17)}} {
		_, err := serialize.Encode(serialize.CBOR, v)
		require.ErrorContains(t, err, "nested deeper than 10000 levels")
	}
	for _, v := range []any{chainOf(4000), nested(4000)} {
		_, err := serialize.Encode(serialize.CBOR, v)
		require.NoError(t, err)
	}
}

func TestEncode_notCyclic(t *testing.T) {
	t.Parallel()
	shared := &chain{}
	deep := nested(1100)
	empty := []any{}
	for _, v := range []any{
		[]*chain{shared, shared},
		[]any{shared, shared, &shared},
		[]any{deep, deep},
		map[string]any{"a": deep, "b": deep},
		&mixed{a: &mixed{}}, nested(3),
		[]any{empty, empty},
		func() any { // the same below the depth at which cycles are sought
			v := []any{shared, shared}
			var out any = v
			for range 1100 {
				out = []any{out, v}
			}
			return out
		}(),
	} {
		for _, c := range []serialize.Codec{serialize.CBOR, plainJSON} {
			_, err := serialize.Encode(c, v)
			require.NoError(t, err)
		}
	}
	_, err := serialize.Encode(serialize.CBOR, strings.Repeat("x", 10))
	require.NoError(t, err)
}
