package wasi_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero/sys"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/wasi"
)

func TestInstantiate(t *testing.T) {
	t.Parallel()
	g := newGuest(t, newWorld()) // imports all there are, by their types
	does := wasi.Functions()
	for name, text := range guestabi.Imports[guestabi.WASI] {
		if name == "proc_exit" || slices.Contains(does, name) {
			continue
		}
		args := make([]uint64, len(signature(text).Params))
		require.EqualValues(t, nosys, g.call(name, args...), name)
	}
	for _, name := range does {
		require.Contains(t, guestabi.Imports[guestabi.WASI], name)
	}
	require.Zero(t, g.call("sched_yield"))
}

func TestInstantiate_twice(t *testing.T) {
	t.Parallel()
	r := newRuntime(t)
	current := func() *wasi.System { return nil }
	require.NoError(t, wasi.Instantiate(t.Context(), r, current))
	require.Error(t, wasi.Instantiate(t.Context(), r, current), "the name is taken")
}

func TestParseType(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "(i32)", "(i32) -> (f32)", "(v128) -> ()", "i128 -> i32"} {
		_, _, err := wasi.ParseType(text)
		require.Error(t, err, text)
	}
}

func TestProcExit(t *testing.T) {
	t.Parallel()
	g := newGuest(t, newWorld())
	exit := g.mod.ExportedFunction("proc_exit")
	stack := make([]uint64, 1)
	for _, code := range []uint32{0, 1, 255, sys.ExitCodeContextCanceled, sys.ExitCodeDeadlineExceeded} {
		_, err := exit.Call(t.Context(), uint64(code))
		requireExit(t, err, code)
		require.Zero(t, g.call("sched_yield"), "the instance goes on")
		stack[0] = uint64(code)
		requireExit(t, exit.CallWithStack(t.Context(), stack), code)
		require.Zero(t, g.call("sched_yield"))
		require.False(t, g.mod.IsClosed())
	}
}

func requireExit(t *testing.T, err error, code uint32) {
	t.Helper()
	exit, ok := errors.AsType[*sys.ExitError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, code, exit.ExitCode())
}

// TestMemory_none calls everything from a module that has no memory.
func TestMemory_none(t *testing.T) {
	t.Parallel()
	w := newWorld()
	g := newGuestOf(t, w, 0)
	for _, p := range pointers {
		for _, at := range p.at {
			require.EqualValues(t, fault, g.call(p.name, p.args...), "%s, parameter %d", p.name, at)
		}
	}
	require.EqualValues(t, badf, g.call("fd_close", 9))
	require.Zero(t, g.call("fd_close", 1))
	require.Zero(t, w.stdout.Len())
	require.Empty(t, w.slept)
}

// TestWriter_panics has the host end a guest from within a function.
func TestWriter_panics(t *testing.T) {
	t.Parallel()
	w := newWorld()
	errEnd := errors.New("the host has had enough")
	w.Stdout = writerFunc(func([]byte) (int, error) { panic(errEnd) })
	w.Sleep = func(int64) { panic(errEnd) }
	g := newGuest(t, w)
	g.iovecs(0, 64, 5)
	le.PutUint64(g.memory()[100+24:], 7)
	_, err := g.mod.ExportedFunction("fd_write").Call(t.Context(), 1, 0, 1, 16)
	require.ErrorIs(t, err, errEnd)
	_, err = g.mod.ExportedFunction("poll_oneoff").Call(t.Context(), 100, 200, 1, 16)
	require.ErrorIs(t, err, errEnd)
	require.Zero(t, g.call("sched_yield"), "the instance goes on")
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestGetSizes(t *testing.T) {
	t.Parallel()
	w := newWorld()
	g := newGuest(t, w)
	require.Zero(t, g.call("args_sizes_get", 0, 4))
	require.EqualValues(t, 3, g.u32(0))
	require.EqualValues(t, len("guest\x00\x00two words\x00"), g.u32(4))
	require.Zero(t, g.call("args_get", 0, 100))
	require.Equal(t, "guest\x00\x00two words\x00", string(g.memory()[100:117]))
	require.Equal(t, []uint32{100, 106, 107}, []uint32{g.u32(0), g.u32(4), g.u32(8)})
	require.Zero(t, g.call("environ_get", 0, 100))
	require.Equal(t, "A=1\x00LONG=ünïcode and more\x00", string(g.memory()[100:100+4+len("LONG=ünïcode and more\x00")]))

	w.Args, w.Env = nil, nil
	g.fill()
	for _, name := range []string{"args", "environ"} {
		require.Zero(t, g.call(name+"_sizes_get", 0, 4))
		require.Zero(t, g.u64(0))
		g.fill()
		require.Zero(t, g.call(name+"_get", 0, 100), "nothing to write")
		require.Equal(t, bytes.Repeat([]byte{0xee}, memSize), g.memory())
	}

	// 4 GiB of arguments: one string, many times.
	long := string(make([]byte, 1<<20))
	w.Args = slices.Repeat([]string{long}, 4<<10)
	require.EqualValues(t, overflow, g.call("args_sizes_get", 0, 4))
	require.EqualValues(t, fault, g.call("args_get", 0, 0))
}

func TestRandomGet(t *testing.T) {
	t.Parallel()
	w := newWorld()
	g := newGuest(t, w)
	g.fill()
	require.Zero(t, g.call("random_get", 10, 3))
	require.Equal(t, []byte{0xee, 1, 2, 3, 0xee}, g.memory()[9:14])
	require.Zero(t, g.call("random_get", memSize, 0))
	require.Equal(t, []int{3}, w.chunks)
	require.Zero(t, g.call("random_get", 0, memSize))
	require.Equal(t, []int{3, memSize}, w.chunks)
	require.EqualValues(t, fault, g.call("random_get", 1, memSize))
	require.EqualValues(t, fault, g.call("random_get", memSize+1, 0))
}

// TestRandomGet_large asks for more than is got at a time.
func TestRandomGet_large(t *testing.T) {
	t.Parallel()
	w := newWorld()
	g := newGuestOf(t, w, 4)
	require.Zero(t, g.call("random_get", 100, 130<<10))
	require.Equal(t, []int{64 << 10, 64 << 10, 2 << 10}, w.chunks)
	b, ok := g.mod.Memory().Read(99, 130<<10+2)
	require.True(t, ok)
	require.Equal(t, []byte{0, 1, 2}, b[:3])
	require.EqualValues(t, 0, b[len(b)-1])
	require.Equal(t, byte(2<<10&0xff), b[len(b)-2])
}

func TestClocks(t *testing.T) {
	t.Parallel()
	g := newGuest(t, newWorld())
	for _, tc := range []struct {
		clock      uint64
		want       uint32
		time, unit uint64
	}{
		{0, success, worldReal, 1000},
		{1, success, worldMono, 1},
		{2, notsup, 0, 0},
		{3, notsup, 0, 0},
		{4, inval, 0, 0},
		{1<<32 - 1, inval, 0, 0},
	} {
		clear(g.memory()[:16])
		require.Equal(t, tc.want, g.call("clock_time_get", tc.clock, 1, 0))
		require.Equal(t, tc.time, g.u64(0))
		require.Equal(t, tc.want, g.call("clock_res_get", tc.clock, 8))
		require.Equal(t, tc.unit, g.u64(8))
	}
}
