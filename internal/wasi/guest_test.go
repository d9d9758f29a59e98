package wasi_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/wasi"
)

// WASI's error numbers.
const (
	success  = 0
	badf     = 8
	fault    = 21
	inval    = 28
	ioError  = 29
	nosys    = 52
	notsup   = 58
	overflow = 61
	spipe    = 70
)

// memSize is the size of a guest's memory, in bytes.
const memSize = 64 << 10

var le = binary.LittleEndian

// A world is a System whose doings can be looked at.
type world struct {
	wasi.System

	stdout, stderr bytes.Buffer
	slept          []int64
	chunks         []int // sizes that Random was asked for
}

const (
	worldSec, worldNsec = 1_640_995_200, 123_456_789
	worldReal           = worldSec*1_000_000_000 + worldNsec
	worldMono           = 42_000_000_000
)

// newWorld has arguments, an environment, clocks that stand still and random bytes
// that count from 1.
func newWorld() *world {
	w := new(world)
	w.System = wasi.System{
		Stdout: &w.stdout,
		Stderr: &w.stderr,
		Args:   []string{"guest", "", "two words"},
		Env:    []string{"A=1", "LONG=ünïcode and more"},
		Random: func(p []byte) {
			w.chunks = append(w.chunks, len(p))
			countUp(p)
		},
		Walltime: func() (int64, int32) { return worldSec, worldNsec },
		Nanotime: func() int64 { return worldMono },
		Sleep:    func(ns int64) { w.slept = append(w.slept, ns) },
	}
	return w
}

func countUp(p []byte) {
	for i := range p {
		p[i] = byte(i + 1)
	}
}

// A guest is an instance that exports each function of WASI's under its own name.
type guest struct {
	t   testing.TB
	mod api.Module
}

// newGuest returns a guest with one page of memory that sees w.
func newGuest(tb testing.TB, w *world) guest {
	tb.Helper()
	return newGuestOf(tb, w, 1)
}

func newGuestOf(tb testing.TB, w *world, pages uint32) guest {
	tb.Helper()
	r := newRuntime(tb)
	require.NoError(tb, wasi.Instantiate(tb.Context(), r, func() *wasi.System { return &w.System }))
	return instantiate(tb, r, forwarder(pages), wazero.NewModuleConfig())
}

func newRuntime(tb testing.TB) wazero.Runtime {
	tb.Helper()
	r := wazero.NewRuntime(tb.Context())
	tb.Cleanup(func() { _ = r.Close(context.Background()) })
	return r
}

func instantiate(tb testing.TB, r wazero.Runtime, wasm []byte, config wazero.ModuleConfig) guest {
	tb.Helper()
	mod, err := r.InstantiateWithConfig(tb.Context(), wasm, config.WithName("").WithStartFunctions())
	require.NoError(tb, err)
	return guest{tb, mod}
}

// forwarder is a module with a function for each import that calls just that.
func forwarder(pages uint32) []byte {
	m := new(guesttest.Module)
	imports := guestabi.Imports[guestabi.WASI]
	names := slices.Sorted(maps.Keys(imports))
	indices := make([]uint32, len(names))
	for i, name := range names {
		indices[i] = m.Import(guestabi.WASI, name, signature(imports[name]))
	}
	for i, name := range names {
		body := new(guesttest.Code)
		sig := signature(imports[name])
		for p := range sig.Params {
			body.Get(uint32(p))
		}
		m.Export(name, m.Func(sig, nil, body.Call(indices[i])))
	}
	if pages > 0 {
		m.Memory(pages, pages)
	}
	return m.Bytes()
}

func signature(text string) guesttest.Signature {
	params, results, err := wasi.ParseType(text)
	if err != nil {
		panic(err)
	}
	var s guesttest.Signature
	for _, p := range params {
		s.Params = append(s.Params, guesttest.ValueType(p))
	}
	for _, r := range results {
		s.Results = append(s.Results, guesttest.ValueType(r))
	}
	return s
}

// call returns the error number.
func (g guest) call(name string, args ...uint64) uint32 {
	g.t.Helper()
	results, err := g.mod.ExportedFunction(name).Call(context.Background(), args...)
	require.NoError(g.t, err, "%s%v", name, args)
	require.Len(g.t, results, 1)
	return uint32(results[0])
}

// memory is the guest's own.
func (g guest) memory() []byte {
	b, ok := g.mod.Memory().Read(0, memSize)
	require.True(g.t, ok)
	return b
}

func (g guest) u32(at int) uint32 { return le.Uint32(g.memory()[at:]) }
func (g guest) u64(at int) uint64 { return le.Uint64(g.memory()[at:]) }

// fill makes every byte of memory one that nothing writes by chance.
func (g guest) fill() {
	m := g.memory()
	for i := range m {
		m[i] = 0xee
	}
}

// iovecs puts pointers and sizes at an address.
func (g guest) iovecs(at int, values ...uint32) {
	for i, v := range values {
		le.PutUint32(g.memory()[at+4*i:], v)
	}
}
