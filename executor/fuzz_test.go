package executor_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/quote"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/serialize"
)

// risky reports whether a text could do something to a terminal.
func risky(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r != '\t' && quote.Risky(r) })
}

// FuzzFailure reads any bytes as why a call failed: whatever a worker says of it, the
// error has one of the types that are documented, or the worker is given up.
func FuzzFailure(f *testing.F) {
	for kind := uint32(1); kind <= 5; kind++ {
		b, err := wire.Marshal(wire.Failure{
			Message: "m\x1b[2J", Guest: kind, Exit: 7, Stack: "s", Stderr: "panic: \u202e", Limit: "memory", Max: 1 << 63, Used: 2, Module: kind,
			Name: "n\x00", Init: kind == 2,
		})
		require.NoError(f, err)
		f.Add(kind, b)
	}
	m, err := serialize.NewModule("m", guesttest.TinyEcho())
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, kind uint32, payload []byte) {
		err, answered := executor.FakeAnswer{Type: wire.TypeFail, Code: kind, Payload: payload}.Failure(m)
		require.Error(t, err)
		require.False(t, risky(err.Error()), "%q", err)
		if !answered {
			return
		}
		if s, ok := err.(*executor.StartError); ok { //nolint:errorlint // the type that is documented
			require.Equal(t, "initializer", s.Stage)
			err = s.Err
		}
		switch e := err.(type) { //nolint:errorlint // likewise
		case *executor.GuestError:
			require.Equal(t, wire.KindGuest, kind)
		case *executor.LimitError:
			require.GreaterOrEqual(t, min(e.Max, e.Used), int64(0))
		case *serialize.ModuleError:
			require.Contains(t, []serialize.ModuleErrorKind{serialize.Invalid, serialize.MissingExport}, e.Kind)
		default:
			t.Fatalf("%T: %v", err, err)
		}
	})
}

// FuzzCaptured reads any bytes as an image's description. What is let through, workers
// take: nothing in it is outside the memory that goes with it.
func FuzzCaptured(f *testing.F) {
	layout := wire.Layout{Globals: 2, MaxPages: 16}
	for _, image := range []wire.Image{
		{Size: 64 << 10, Globals: []uint64{1, 2}},
		{Size: 128 << 10, Globals: []uint64{1, 2}, Random: []uint32{8, 312}, Streams: 7},
		{Size: 1 << 40, Globals: make([]uint64, 3), Random: []uint32{1<<32 - 8}},
	} {
		b, err := wire.Marshal(wire.Captured{Image: image})
		require.NoError(f, err)
		f.Add(b)
	}
	b, err := wire.Marshal(wire.Captured{Unfit: "\x1b[31m"})
	require.NoError(f, err)
	f.Add(b)
	m, err := serialize.NewModule("m", guesttest.TinyEcho())
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, payload []byte) {
		image, err := executor.FakeAnswer{Type: wire.TypeCaptured, Payload: payload}.Captured(m, layout)
		if err != nil {
			require.False(t, risky(err.Error()), "%q", err)
			return
		}
		require.Zero(t, image.Size%(64<<10))
		require.GreaterOrEqual(t, image.Size, m.InitialMemory())
		require.LessOrEqual(t, image.Size, layout.MaxPages<<16)
		require.Len(t, image.Globals, layout.Globals)
		require.LessOrEqual(t, len(image.Random), wire.MaxRandom)
		require.True(t, slices.IsSorted(image.Random))
		for _, at := range image.Random {
			require.LessOrEqual(t, uint64(at)+304, image.Size)
		}
	})
}
