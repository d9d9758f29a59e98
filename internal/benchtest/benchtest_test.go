package benchtest_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/benchtest"
	"github.com/sandpool/sandpool/internal/guesttest"
)

func TestSeries(t *testing.T) {
	t.Parallel()
	var s benchtest.Series
	require.Zero(t, s.Median())
	require.Zero(t, s.Mean())
	for i := range 101 {
		s.Add(time.Duration(100 - i))
	}
	got := []time.Duration{s.Min(), s.Median(), s.P99(), s.Mean()}
	require.Equal(t, []time.Duration{0, 50, 99, 50}, got)
	s.Add(-45)
	require.EqualValues(t, -45, s.Min(), "it is sorted again")
	b, err := json.Marshal(&s)
	require.NoError(t, err)
	require.JSONEq(t, `{"samples":102,"min_ns":-45,"median_ns":49,"p99_ns":98,"mean_ns":49}`, string(b))
}

func TestFigures(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		812: "812 ns", 2190: "2.19 µs", -2190: "-2.19 µs", 31_400_000: "31.4 ms", 2*time.Second + 345*time.Millisecond: "2.35 s", 0: "0 ns",
	} {
		require.Equal(t, want, benchtest.Time(d))
	}
	require.Equal(t, "62.0 KiB", benchtest.Bytes(62<<10))
	require.Equal(t, "3.80 MiB", benchtest.Bytes(3.8*(1<<20)))
	require.Equal(t, "512x", benchtest.Ratio(512.4))
}

func TestRaw(t *testing.T) {
	t.Parallel()
	raw, err := benchtest.NewRaw(t.Context(), guesttest.TinyEcho())
	require.NoError(t, err)
	input := bytes.Repeat([]byte("x"), 100_000)
	for range 2 {
		output, answer, ready, err := raw.Call(t.Context(), input)
		require.NoError(t, err)
		require.Equal(t, input, output)
		require.Positive(t, answer)
		require.GreaterOrEqual(t, ready, answer)
	}
	require.NoError(t, raw.Close(t.Context()))

	for _, wasm := range [][]byte{guesttest.TinyTrap(), guesttest.TinyForgedFail(1), guesttest.TinySilentFail(), guesttest.TinyOutOfBounds()} {
		raw, err := benchtest.NewRaw(t.Context(), wasm)
		require.NoError(t, err)
		_, _, _, err = raw.Call(t.Context(), nil)
		require.Error(t, err)
		require.NoError(t, raw.Close(t.Context()))
	}
	_, err = benchtest.NewRaw(t.Context(), guesttest.TinyBadImport()[:20])
	require.Error(t, err)
}

func TestMachine(t *testing.T) {
	t.Parallel()
	m := benchtest.ThisMachine()
	require.Positive(t, m.Cores)
	require.NotEmpty(t, m.Go)
	if r, ok := benchtest.Resident(); ok {
		require.Positive(t, r.Rss)
		require.Positive(t, benchtest.Memory{Rss: 100}.Sub(benchtest.Memory{Rss: 20}).Per(2).Rss)
	}
}

func TestBound(t *testing.T) {
	t.Parallel()
	raw, err := benchtest.NewRaw(t.Context(), guesttest.TinyEcho())
	require.NoError(t, err)
	b, err := raw.Bind(t.Context())
	require.NoError(t, err)
	first, err := b.Call(t.Context(), 0, []byte("first"))
	require.NoError(t, err)
	_, err = b.Call(t.Context(), 0, []byte("other"))
	require.NoError(t, err)
	require.Equal(t, "first", string(first), "it is the caller's own")
	require.NoError(t, b.Close(t.Context()))
	_, err = b.Call(t.Context(), 0, nil)
	require.Error(t, err)
	require.NoError(t, raw.Close(t.Context()))
}
