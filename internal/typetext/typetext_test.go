package typetext_test

import (
	"encoding/json"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/typetext"
)

type point struct {
	X int `cbor:"x"`
	Y int `json:"y,omitempty"`
	z int //nolint:unused // not encoded
}

type tree struct {
	Left, Right *tree
	Label       string `cbor:"-"`
}

type forest []forest

type pair struct {
	_ struct{} `cbor:",toarray"`
	A string
	B []byte
}

type outer struct {
	point
	*pair `cbor:"p"`
	Key   map[string]point `cbor:"1,keyasint"`
}

type endless struct{ *endless }

type octets []byte

type wide struct{ A, B, C, D, E, F, G, H [3]map[string]point }

type wider struct{ A, B, C, D, E, F, G, H, I, J wide }

type ünï struct {
	Ä string `cbor:"ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää"`
}

func TestOf(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		t    reflect.Type
		want string
	}{
		{reflect.TypeFor[[]byte](), "bytes"},
		{reflect.TypeFor[octets](), "cbor bytes"},
		{reflect.TypeFor[[4]byte](), "cbor bytes"},
		{reflect.TypeFor[*[]byte](), "bytes?"},
		{reflect.TypeFor[[]octets](), "[]bytes"},
		{reflect.TypeFor[string](), "string"},
		{reflect.TypeFor[time.Duration](), "int64"},
		{reflect.TypeFor[time.Time](), "time"},
		{reflect.TypeFor[*time.Time](), "time?"},
		{reflect.TypeFor[*big.Int](), "bigint?"},
		{reflect.TypeFor[netip.Addr](), "netip.Addr"},
		{reflect.TypeFor[json.RawMessage](), "cbor bytes"},
		{reflect.TypeFor[any](), "any"},
		{nil, "any"},
		{reflect.TypeFor[error](), "error"},
		{reflect.TypeFor[map[string]int](), "map[string]int"},
		{reflect.TypeFor[[12][]float64](), "[12][]float64"},
		{reflect.TypeFor[struct{}](), "{}"},
		{reflect.TypeFor[point](), "{x: int, y: int}"},
		{reflect.TypeFor[tree](), "{Left: typetext_test.tree?, Right: typetext_test.tree?}"},
		{reflect.TypeFor[forest](), "[]typetext_test.forest"},
		{reflect.TypeFor[pair](), "(string, bytes)"},
		{reflect.TypeFor[outer](), "{x: int, y: int, 1: map[string]{x: int, y: int}}"},
		{reflect.TypeFor[endless](), "{typetext_test.endless}"},
		{reflect.TypeFor[chan int](), "chan int"},
	} {
		require.Equal(t, tc.want, typetext.Of(tc.t), "%v", tc.t)
	}
}

func TestOf_bounded(t *testing.T) {
	t.Parallel()
	for _, typ := range []reflect.Type{
		reflect.TypeFor[wider](), reflect.TypeFor[[]wider](),
		reflect.TypeFor[map[ünï]map[ünï]map[ünï]map[ünï]ünï](),
	} {
		text := typetext.Of(typ)
		require.True(t, utf8.ValidString(text))
		require.LessOrEqual(t, len(text), typetext.MaxLen)
		require.True(t, strings.HasSuffix(text, "…"), text)
	}
}
