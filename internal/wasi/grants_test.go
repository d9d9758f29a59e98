package wasi_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/wasi"
)

func TestStdin(t *testing.T) {
	t.Parallel()
	w := newWorld()
	g := newGuest(t, w)
	w.Stdin = []byte("0123456789")
	require.Zero(t, g.call("fd_fdstat_get", 0, 1024))
	require.Zero(t, g.memory()[1024], "it is no terminal")
	g.iovecs(256, 2048, 3, 0, 0, 4096, 4)
	require.EqualValues(t, fault, g.call("fd_read", 0, 256, 3, math.MaxUint32))
	require.Len(t, w.Stdin, 10, "nothing is lost")
	g.iovecs(512, 2048, memSize)
	require.EqualValues(t, fault, g.call("fd_read", 0, 512, 1, 128))
	require.Len(t, w.Stdin, 10)
	for _, want := range []string{"012", "789"} {
		require.Zero(t, g.call("fd_read", 0, 256, 3, 128))
		require.Equal(t, want, string(g.memory()[2048:2051]))
		if want == "012" {
			require.EqualValues(t, 7, g.u32(128))
			require.Equal(t, "3456", string(g.memory()[4096:4100]))
		}
	}
	require.EqualValues(t, 3, g.u32(128))
	for range 2 {
		require.Zero(t, g.call("fd_read", 0, 256, 3, 128))
		require.Zero(t, g.u32(128), "the end")
	}
}

func TestPiped(t *testing.T) {
	t.Parallel()
	w := newWorld()
	g := newGuest(t, w)
	for piped, want := range map[bool]byte{false: 2, true: 0} {
		w.Piped = piped
		for fd := range uint64(3) {
			g.fill()
			require.Zero(t, g.call("fd_fdstat_get", fd, 1024))
			require.Equal(t, want, g.memory()[1024])
			require.Zero(t, g.call("fd_filestat_get", fd, 1024))
			require.Equal(t, want, g.memory()[1024+16])
		}
	}
}

func TestClock_fixed(t *testing.T) {
	t.Parallel()
	w := newWorld()
	g := newGuest(t, w)
	w.Clock = wasi.Clock{Fixed: true, Start: 5_000_000_001}
	read := func(clock uint64) uint64 {
		require.Zero(t, g.call("clock_time_get", clock, 0, 1024))
		return g.u64(1024)
	}
	for range 2 {
		require.EqualValues(t, 5_000_000_001, read(0))
		require.EqualValues(t, 1e9, read(1))
	}
	copy(g.memory()[512:], clockSub(mono, 7, 0))
	require.Zero(t, g.call("poll_oneoff", 512, 2048, 1, 128))
	require.EqualValues(t, 5_000_000_008, read(0))
	require.EqualValues(t, 1e9+7, read(1))
	require.EqualValues(t, 7, w.Elapsed)
	copy(g.memory()[512:], clockSub(real, 5_000_000_010, abs))
	require.Zero(t, g.call("poll_oneoff", 512, 2048, 1, 128))
	require.EqualValues(t, 5_000_000_010, read(0))
	for range 3 { // it stays where no sum overflows
		copy(g.memory()[512:], clockSub(mono, math.MaxInt64, 0))
		require.Zero(t, g.call("poll_oneoff", 512, 2048, 1, 128))
		require.EqualValues(t, 1<<62, w.Elapsed)
	}
	require.Empty(t, w.slept)
}

func TestClock_coarse(t *testing.T) {
	t.Parallel()
	w := newWorld()
	g := newGuest(t, w)
	for _, tc := range []struct{ resolution, real, mono uint64 }{
		{0, worldReal, worldMono},
		{1, worldReal, worldMono},
		{1_000_000, worldReal - 456_789, worldMono + 1_000_000},
		{1_000_000_000, worldReal - worldNsec, worldMono + 1_000_000_000},
		{3_600_000_000_000, worldReal - worldReal%3_600_000_000_000, 3_600_000_000_000},
	} {
		w.Clock.Resolution = tc.resolution
		require.Zero(t, g.call("clock_time_get", 0, 0, 1024))
		require.Equal(t, tc.real, g.u64(1024))
		require.Zero(t, g.call("clock_time_get", 1, 0, 1024))
		require.Equal(t, tc.mono, g.u64(1024))
		require.Zero(t, g.call("clock_res_get", 1, 1024))
		require.Equal(t, max(tc.resolution, 1), g.u64(1024))
		require.Zero(t, g.call("clock_res_get", 0, 1024))
		require.Equal(t, max(tc.resolution, 1000), g.u64(1024))
	}
}
