package snapshot_test

import (
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"encoding/json"
	"io"
	"sync"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/snapshot"
	"github.com/sandpool/sandpool/internal/wasmbin"
)

// A goGuest is the fixture, compiled once, and the host of all its instances.
type goGuest struct {
	t             *testing.T
	r             wazero.Runtime
	compiled      wazero.CompiledModule
	p             *wasmbin.Prepared
	functions     map[string]uint64
	input, output []byte
}

// compilations spares all runtimes but the first the compiler's work.
var compilations = sync.OnceValue(wazero.NewCompilationCache)

func newGoGuest(t *testing.T) *goGuest {
	t.Helper()
	config := wazero.NewRuntimeConfig().WithCompilationCache(compilations())
	if testing.Short() { // the compiler takes a minute under the race detector
		config = wazero.NewRuntimeConfigInterpreter()
	}
	g := &goGuest{t: t, r: wazero.NewRuntimeWithConfig(t.Context(), config), functions: map[string]uint64{}}
	t.Cleanup(func() { require.NoError(t, g.r.Close(context.Background())) })
	var err error
	g.p, err = wasmbin.Prepare(guesttest.Bytes(t, "fixture"))
	require.NoError(t, err)
	g.compiled, err = g.r.CompileModule(t.Context(), g.p.Bytes)
	require.NoError(t, err)
	wasi_snapshot_preview1.MustInstantiate(t.Context(), g.r)
	g.host()
	return g
}

// host is the worker's side of the guest interface, as far as it is called.
func (g *goGuest) host() {
	b := g.r.NewHostModuleBuilder("sandpool_v1")
	b.NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, p, offset, size uint32) uint32 {
		mem, _ := m.Memory().Read(p, size)
		return uint32(copy(mem, g.input[min(int(offset), len(g.input)):]))
	}).Export("input_read")
	b.NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, p, size uint32) {
		mem, _ := m.Memory().Read(p, size)
		g.output = append(g.output, mem...)
	}).Export("output_write")
	b.NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, _, p, size, _, _ uint32) {
		mem, _ := m.Memory().Read(p, size)
		g.output = append([]byte("failed: "), mem...)
	}).Export("fail")
	b.NewFunctionBuilder().WithFunc(func(uint32, uint32, uint32) {}).Export("log")
	b.NewFunctionBuilder().WithFunc(func(uint32, uint32, uint32, uint32) uint32 { return 2 }).Export("host_call")
	b.NewFunctionBuilder().WithFunc(func() uint32 { return 0 }).Export("host_size")
	b.NewFunctionBuilder().WithFunc(func(uint32, uint32, uint32) uint32 { return 0 }).Export("host_read")
	b.NewFunctionBuilder().WithFunc(func(uint32, uint32, uint32) uint32 { return 0 }).Export("codec_name")
	_, err := b.Instantiate(g.t.Context())
	require.NoError(g.t, err)
}

// instance makes an instance over an image.
func (g *goGuest) instance(image *snapshot.Image, m mode) *instance {
	g.t.Helper()
	mem := snapshot.NewMemory(snapshot.Config{Image: image, Limit: 64 << 20, Max: g.p.MaxPages * page, Pages: m.pages})
	mod, err := g.r.InstantiateModule(experimental.WithMemoryAllocator(g.t.Context(), mem), g.compiled,
		wazero.NewModuleConfig().WithName("").WithStartFunctions().WithRandSource(cryptorand.Reader).
			WithSysWalltime().WithSysNanotime().WithStderr(io.Discard))
	require.NoError(g.t, err)
	in, err := snapshot.NewInstance(mod, mem, g.p.Globals)
	require.NoError(g.t, err)
	return &instance{in, g.t}
}

// capture initializes an instance over the module's data and takes its state, with
// the generators that another one has other seeds for.
func (g *goGuest) capture(m mode) (*snapshot.Image, snapshot.State) {
	g.t.Helper()
	data := make(contents, g.p.MinPages*page)
	for _, d := range g.p.Data {
		copy(data[d.Offset:], d.Bytes)
	}
	base := m.image(g.t, data)
	in, other := g.instance(base, m), g.instance(base, m)
	defer in.close()
	defer other.close()
	in.call("_initialize")
	other.call("_initialize")
	g.output = nil
	in.call("sandpool_v1_describe")
	var about struct{ Functions []struct{ Name string } }
	require.NoError(g.t, json.Unmarshal(g.output, &about))
	for i, f := range about.Functions {
		g.functions[f.Name] = uint64(i)
	}
	data = make(contents, in.Memory.Size())
	s, err := in.Capture(data)
	require.NoError(g.t, err)
	require.Len(g.t, s.Random, 4, "those of the fixture are among them")
	s.Random = s.Unlike(in.Instance, other.Instance)
	image := m.image(g.t, data)
	require.NoError(g.t, s.Validate(image.Size(), g.p.Globals))
	return image, s
}

// run calls a function of the guest.
func run[Out any](g *goGuest, in *instance, name string, arg any) (out Out, err error) {
	g.t.Helper()
	g.input, err = cbor.Marshal(arg)
	require.NoError(g.t, err)
	g.output = nil
	result, err := in.try("sandpool_v1_call", g.functions[name], uint64(len(g.input)), 1|1<<8)
	if err == nil && result == 0 {
		require.NoError(g.t, cbor.Unmarshal(g.output, &out))
	}
	return out, err
}

type random struct{ Crypto, Math []byte }

// A Go guest is brought back with its heap, goroutines and maps.
func TestRestore_goGuest(t *testing.T) {
	t.Parallel()
	all, rounds := modes(t), 60
	if testing.Short() {
		all, rounds = all[:1], 12
	}
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			g := newGoGuest(t)
			image, s := g.capture(m)
			in := g.instance(image, m)
			defer func() { in.close() }()
			require.NoError(t, in.Apply(&s))
			require.NoError(t, in.Check(&s))
			for i := range rounds {
				in.Reseed(&s, func(b []byte) { cryptorand.Read(b) })
				n, err := run[int](g, in, "counter", struct{}{})
				require.NoError(t, err)
				require.Equal(t, 1, n, "a clean instance")
				switch i % 6 {
				case 0:
					words, err := run[map[string]int](g, in, "words", "a b a c a")
					require.NoError(t, err)
					require.Equal(t, map[string]int{"a": 3, "b": 1, "c": 1}, words)
				case 1: // the guest grows and collects garbage
					n, err = run[int](g, in, "alloc", 10)
					require.NoError(t, err)
					require.Equal(t, 10, n)
					require.Greater(t, in.Memory.Peak(), uint64(10<<20))
				case 2:
					_, err = run[int](g, in, "panic", "lost")
					require.NoError(t, err)
					require.Contains(t, string(g.output), "failed: lost")
				case 3:
					depth := 20_000
					if testing.Short() { // the interpreter has 2000 frames
						depth = 500
					}
					n, err = run[int](g, in, "recurse", depth)
					require.NoError(t, err)
					require.Equal(t, depth, n)
				case 4:
					_, err = run[struct{}](g, in, "sleep", 1)
					require.NoError(t, err)
				case 5: // there is no way back from these
					name := []string{"grow", "exit", "deadlock"}[i/6%3]
					_, err = run[struct{}](g, in, name, map[string]any{"grow": struct{}{}, "exit": 1, "deadlock": struct{}{}}[name])
					require.Error(t, err)
					if in.Module.IsClosed() {
						require.Error(t, in.Restore(&s))
						in = g.instance(image, m)
						require.NoError(t, in.Apply(&s))
					}
				}
				in.restored(&s)
			}
		})
	}
}

func TestReseed_goGuest(t *testing.T) {
	t.Parallel()
	m := modes(t)[0]
	g := newGoGuest(t)
	image, s := g.capture(m)
	t.Logf("%d bytes, %d globals, generators at %#x", s.Size, len(s.Globals), s.Random)
	require.Len(t, s.Random, 2, "the runtime's and its thread's")
	clone := func(seed func([]byte)) random {
		in := g.instance(image, m)
		defer in.close()
		require.NoError(t, in.Apply(&s))
		if seed != nil {
			in.Reseed(&s, seed)
		}
		r, err := run[random](g, in, "random", struct{}{})
		require.NoError(t, err)
		return r
	}
	same := func(b []byte) {
		for i := range b {
			b[i] = byte(3 * i)
		}
	}
	a, b := clone(nil), clone(nil)
	require.Equal(t, a.Math, b.Math, "without Reseed all clones draw the same")
	require.NotEqual(t, a.Crypto, b.Crypto)
	a, b = clone(same), clone(same)
	require.Equal(t, a.Math, b.Math, "the seed says what is drawn")
	seen := [][]byte{a.Math, clone(nil).Math}
	for range 20 {
		r := clone(func(b []byte) { cryptorand.Read(b) })
		for _, other := range seen {
			require.False(t, bytes.Equal(r.Math, other))
		}
		seen = append(seen, r.Math)
	}

	// In place as well.
	in := g.instance(image, m)
	defer in.close()
	require.NoError(t, in.Apply(&s))
	for range 20 {
		in.Reseed(&s, func(b []byte) { cryptorand.Read(b) })
		r, err := run[random](g, in, "random", struct{}{})
		require.NoError(t, err)
		for _, other := range seen {
			require.False(t, bytes.Equal(r.Math, other))
		}
		seen = append(seen, r.Math)
		in.restored(&s)
	}
}
