package cborcodec_test

import (
	"encoding/hex"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/cborcodec"
)

type record struct {
	Name string `cbor:"name"`
	When time.Time
	Map  map[string]int
	Nil  []string
	Sum  [4]byte
	Big  *big.Int
	Rat  *big.Rat
	Any  any
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	in := record{
		Name: "é", When: time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)),
		Map: map[string]int{}, Sum: [4]byte{1, 2, 3, 4},
		Big: new(big.Int).Lsh(big.NewInt(1), 100), Rat: big.NewRat(1, 3),
		Any: map[string]any{"list": []any{int64(-1), true, nil, 1.5}, "bytes": []byte{0}},
	}
	b, err := cborcodec.Enc().Marshal(in)
	require.NoError(t, err)
	var out record
	require.NoError(t, cborcodec.Dec().Unmarshal(b, &out))
	require.True(t, in.When.Equal(out.When))
	_, offset := out.When.Zone()
	require.Equal(t, 3600, offset)
	out.When = in.When
	require.Equal(t, in, out)
}

func TestEnc_deterministic(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		value any
		want  string // hexadecimal
	}{
		{map[string]int{"b": 1, "a": 2, "aa": 3}, "a3616102616201626161" + "03"},
		{1.5, "f93e00"},
		{math.NaN(), "f97e00"},
		{time.Time{}, "f6"},
		{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "c074" + hex.EncodeToString([]byte("2026-01-02T03:04:05Z"))},
		{[]int(nil), "f6"},
		{[]int{}, "80"},
		{[2]byte{1, 2}, "420102"},
	} {
		b, err := cborcodec.Enc().Marshal(test.value)
		require.NoError(t, err)
		require.Equal(t, test.want, hex.EncodeToString(b), "%v", test.value)
	}
}

func TestDec_refuses(t *testing.T) {
	t.Parallel()
	for name, input := range map[string]string{
		"nothing":           "",
		"two items":         "0101",
		"duplicate key":     "a2616101616102",
		"invalid UTF-8":     "61ff",
		"indefinite length": "9fff",
		"cut short":         "8201",
		"claims 2^32 items": "9b0000000100000000",
		"deep":              strings.Repeat("81", cborcodec.MaxNesting+1) + "01",
	} {
		b, err := hex.DecodeString(input)
		require.NoError(t, err)
		var v any
		require.Error(t, cborcodec.Dec().Unmarshal(b, &v), name)
	}
}

func TestDec_accepts(t *testing.T) {
	t.Parallel()
	var s struct{ A int }
	// {"A": 1, "a": 2, "new": 3}
	b, err := hex.DecodeString("a3614101616102636e657703")
	require.NoError(t, err)
	require.NoError(t, cborcodec.Dec().Unmarshal(b, &s))
	require.Equal(t, 1, s.A)

	deep, err := hex.DecodeString(strings.Repeat("81", cborcodec.MaxNesting) + "01")
	require.NoError(t, err)
	var v any
	require.NoError(t, cborcodec.Dec().Unmarshal(deep, &v))

	many, err := cborcodec.Enc().Marshal(make([]bool, 1<<20))
	require.NoError(t, err)
	require.NoError(t, cborcodec.Dec().Unmarshal(many, &v))
}
