package codecs_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/codecs"
)

type named struct {
	codecs.JSON

	name string
}

func (n *named) Name() string { return n.name }

//nolint:paralleltest // the registry is the process's
func TestRegister(t *testing.T) {
	before := codecs.Names()
	require.Equal(t, []string{"cbor", "json", "raw"}, before)
	for text, tc := range map[string]struct {
		name  string
		codec codecs.Codec
	}{
		"1 to 32 bytes, not 0":         {"", &named{name: ""}},
		"1 to 32 bytes, not 33":        {strings.Repeat("x", 33), &named{name: strings.Repeat("x", 33)}},
		`"Gob" is no codec's name`:     {"Gob", &named{name: "Gob"}},
		`"a\nb" is no codec's name`:    {"a\nb", &named{name: "a\nb"}},
		"codec nothing is nil":         {"nothing", nil},
		"its Name panics":              {"nothing", (*named)(nil)},
		`codec one calls itself "two"`: {"one", &named{name: "two"}},
		"codec cbor is registered":     {"cbor", &named{name: "cbor"}},
	} {
		require.ErrorContains(t, codecs.Register(tc.name, tc.codec), text)
	}
	require.Equal(t, before, codecs.Names())
	mine := &named{name: "mine-1.0_x"}
	require.NoError(t, codecs.Register(mine.name, mine))
	c, err := codecs.Lookup(mine.name)
	require.NoError(t, err)
	require.Same(t, mine, c)
	require.ErrorContains(t, codecs.Register(mine.name, mine), "is registered already")
	_, err = codecs.Lookup("your\x1bs")
	require.EqualError(t, err, `no codec "your\x1bs"; there are cbor, json, mine-1.0_x, raw, and others once their package is imported`)
}

func TestJSON(t *testing.T) {
	t.Parallel()
	c := codecs.JSON{}
	b, err := c.Encode(map[string]any{"b": "<&>\u2028", "a": []int{}})
	require.NoError(t, err)
	require.Equal(t, `{"a":[],"b":"<&>\u2028"}`, string(b))
	for _, v := range []any{math.NaN(), make(chan int), func() {}} {
		_, err := c.Encode(v)
		require.Error(t, err)
	}
	for in, text := range map[string]string{
		"": "unexpected EOF", "1 2": "after top-level value", `"`: "unexpected end", "\"\xff\"": "not UTF-8", "{": "unexpected end",
		strings.Repeat("[", 20_000): "exceeded max depth", "nul": "invalid character",
	} {
		var v any
		require.ErrorContains(t, c.Decode([]byte(in), &v), text, in)
	}
}
