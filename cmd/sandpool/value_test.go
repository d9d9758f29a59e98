package main

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/cborcodec"
)

func TestResultJSON(t *testing.T) {
	t.Parallel()
	when := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	for _, test := range []struct {
		name   string
		result any
		want   string
	}{
		{"null", nil, `null`},
		{"integers", []any{-1, uint64(math.MaxUint64), math.MinInt64}, `[-1,18446744073709551615,-9223372036854775808]`},
		{"big", new(big.Int).Lsh(big.NewInt(1), 100), `1267650600228229401496703205376`},
		{"floats", []float64{0.5, 1, 1e300}, `[0.5,1,1e+300]`},
		{"text", "<a> \u2028 \x1b[31m \x7f \u009b \u202e é", `"<a> \u2028 \u001b[31m \u007f \u009b \u202e é"`},
		{"bytes", map[string][]byte{"b": {0, 255}}, `{"b":"AP8="}`},
		{"time", when, `"2026-01-02T03:04:05.000006Z"`},
		{"keys", map[any]any{1: "a", true: "b", "s": "c", cbor.ByteString("\xff"): "d", 2.5: "e"}, `{"/w==":"d","1":"a","2.5":"e","s":"c","true":"b"}`},
		{"tag", cbor.Tag{Number: 1000, Content: []int{1}}, `[1]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			data, err := cborcodec.Enc().Marshal(test.result)
			require.NoError(t, err)
			line, err := resultJSON(data)
			require.NoError(t, err)
			require.Equal(t, test.want+"\n", string(line))
			require.True(t, json.Valid(line))
		})
	}
}

func TestResultJSON_errors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		result any
		want   string
	}{
		{"infinity", math.Inf(-1), "result is -Inf; JSON has no such value"},
		{"path", map[string]any{"scores": []float64{1, math.NaN()}}, "result.scores[1] is NaN; JSON has no such value"},
		{"keys", map[any]any{1: "a", "1": "b"}, `result has two keys that are written "1"; JSON has no such value`},
		{"simple", []any{cbor.SimpleValue(99)}, "result[0] is the simple value 99; JSON has no such value"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			data, err := cborcodec.Enc().Marshal(test.result)
			require.NoError(t, err)
			_, err = resultJSON(data)
			require.EqualError(t, err, test.want)
		})
	}
	_, err := resultJSON([]byte{0x82, 0x01})
	require.ErrorContains(t, err, "result cannot be decoded")
}

func TestFromJSON(t *testing.T) {
	t.Parallel()
	v, err := nextValue(newDecoder(strings.NewReader(`[1, -1, 1.0, 1e2, 9223372036854775808, 18446744073709551616, {"a": [0.1]}]`)))
	require.NoError(t, err)
	huge, _ := new(big.Int).SetString("18446744073709551616", 10)
	require.Equal(t, []any{
		int64(1), int64(-1), 1.0, 100.0, uint64(1 << 63), huge, map[string]any{"a": []any{0.1}},
	}, v)
}

func TestEscape(t *testing.T) {
	t.Parallel()
	require.Equal(t, "plain é\t", oneLine("plain é\t"))
	require.Equal(t, `a\nb\x0d\x1b[0m\x7f\u009b\u202e\xff`, oneLine("a\nb\r\x1b[0m\x7f\u009b\u202e\xff"))
	require.Equal(t, `a\x09b`, cell("a\tb"))
	require.Equal(t, "    a\n    \\x07b\n", indentLines("a\n\ab"))
}

func TestSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]size{"0": 0, "65536": 65536, "1K": 1 << 10, "64MiB": 64 << 20, "2g": 2 << 30, "5B": 5} {
		var z size
		require.NoError(t, z.Set(text), text)
		require.Equal(t, want, z, text)
		var again size
		require.NoError(t, again.Set(z.String()))
		require.Equal(t, want, again)
	}
	for _, text := range []string{"", "x", "-1", "1.5M", "1X", "9999999999999999999", "9999999999G"} {
		require.Error(t, new(size).Set(text), text)
	}
}

// TestRun runs the tool without a process of its own where nothing is executed.
func TestRun(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	require.Equal(t, statusUsage, run([]string{"fly"}, strings.NewReader(""), &stdout, &stderr))
	require.Empty(t, stdout.String())
	require.Equal(t, "sandpool: unknown command \"fly\"\n", stderr.String())
}
