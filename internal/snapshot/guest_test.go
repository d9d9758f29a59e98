package snapshot_test

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/snapshot"
	"github.com/sandpool/sandpool/internal/wasmbin"
)

// A mode is a way to make images and to find out what was written to.
type mode struct {
	name  string
	image func(tb testing.TB, data []byte) *snapshot.Image
	pages *snapshot.Pages
}

func sliceImage(tb testing.TB, data []byte) *snapshot.Image {
	tb.Helper()
	i := snapshot.NewImage(data)
	tb.Cleanup(func() { require.NoError(tb, i.Close()) })
	return i
}

// contents is what a capture writes.
type contents []byte

func (c contents) WriteAt(p []byte, at int64) (int, error) {
	if at < 0 || at+int64(len(p)) > int64(len(c)) {
		return 0, io.ErrShortWrite
	}
	return copy(c[at:], p), nil
}

// Signatures of the probe's functions.
var (
	none = guesttest.Sig(nil)
	one  = guesttest.Sig([]guesttest.ValueType{guesttest.I32})
	two  = guesttest.Sig([]guesttest.ValueType{guesttest.I32, guesttest.I32})
)

// probe is a rewritten module: it exports its globals, and declares a page more
// than its maximum. It does what a guest can do to its state.
func probe(minPages, maxPages uint32) []byte {
	const memoryFill = "\xfc\x0b\x00"
	if maxPages != guesttest.NoMax {
		maxPages++
	}
	m := new(guesttest.Module)
	exit := m.Import("env", "exit", none)
	m.Memory(minPages, maxPages)
	m.ExportGlobal(wasmbin.GlobalName(0), m.Global(guesttest.I32, -5))
	m.ExportGlobal(wasmbin.GlobalName(1), m.Global(guesttest.I64, 1<<40))
	code := func() *guesttest.Code { return new(guesttest.Code) }
	result := func(s guesttest.Signature) guesttest.Signature {
		return guesttest.Sig(s.Params, guesttest.I32)
	}
	m.Export("store", m.Func(two, nil, code().Get(0).Get(1).Store8(0)))
	m.Export("load", m.Func(result(one), nil, code().Get(0).Load8(0)))
	m.Export("fill", m.Func(guesttest.Sig([]guesttest.ValueType{guesttest.I32, guesttest.I32, guesttest.I32}), nil,
		code().Get(0).Get(1).Get(2).Raw([]byte(memoryFill)...)))
	m.Export("grow", m.Func(result(one), nil, code().Get(0).MemoryGrow()))
	m.Export("set", m.Func(one, nil, code().Get(0).GlobalSet(0).I64(-1).GlobalSet(1)))
	m.Export("get", m.Func(result(none), nil, code().GlobalGet(0)))
	m.Export("trap", m.Func(two, nil, code().Get(0).Get(1).Store8(0).I32(77).GlobalSet(0).Unreachable()))
	m.Export("exit", m.Func(two, nil, code().Get(0).Get(1).Store8(0).Call(exit)))
	// overflow writes down the memory, one byte for each frame.
	self := exit + 9
	m.Export("overflow", m.Func(one, nil, code().Get(0).I32(9).Store8(0).Get(0).I32(1).Add().Call(self)))
	return m.Bytes()
}

// A guest is a module that instances are made of.
type guest struct {
	tb       testing.TB
	r        wazero.Runtime
	compiled wazero.CompiledModule
	config   snapshot.Config // of the clones
	state    snapshot.State
}

// newGuest captures a probe in which every seventh page has something in it.
func newGuest(tb testing.TB, m mode, minPages, maxPages, limit uint32) *guest {
	tb.Helper()
	return newGuestOf(tb, m, probe(minPages, maxPages), maxPages, limit, func(in *instance) {
		for at := uint32(0); at < minPages*page; at += 7 * 4096 {
			in.call("store", uint64(at), uint64(at>>12|1))
		}
		in.call("set", 4711)
	})
}

func newGuestOf(tb testing.TB, m mode, wasm []byte, maxPages, limit uint32, prepare func(*instance)) *guest {
	tb.Helper()
	g := &guest{tb: tb, r: wazero.NewRuntime(tb.Context())}
	tb.Cleanup(func() { require.NoError(tb, g.r.Close(context.Background())) })
	_, err := g.r.NewHostModuleBuilder("env").NewFunctionBuilder().
		WithFunc(func(ctx context.Context, m api.Module) { panic(m.CloseWithExitCode(ctx, 3)) }).Export("exit").
		Instantiate(tb.Context())
	require.NoError(tb, err)
	g.compiled, err = g.r.CompileModule(tb.Context(), wasm)
	require.NoError(tb, err)

	g.config = snapshot.Config{Limit: uint64(limit) * page, Pages: m.pages}
	if maxPages != guesttest.NoMax {
		g.config.Max = uint64(maxPages) * page
	}
	in := g.instance()
	prepare(in)
	data := make(contents, in.Memory.Size())
	g.state, err = in.Capture(data)
	require.NoError(tb, err)
	in.close()
	g.config.Image = m.image(tb, data)
	require.NoError(tb, g.state.Validate(g.config.Image.Size(), 2))
	return g
}

// An instance of a guest.
type instance struct {
	*snapshot.Instance
	tb testing.TB
}

// instance makes an instance over the image, if there is one yet.
func (g *guest) instance() *instance {
	g.tb.Helper()
	mem := snapshot.NewMemory(g.config)
	ctx := experimental.WithMemoryAllocator(g.tb.Context(), mem)
	mod, err := g.r.InstantiateModule(ctx, g.compiled, wazero.NewModuleConfig().WithName(""))
	require.NoError(g.tb, err)
	in, err := snapshot.NewInstance(mod, mem, 2)
	require.NoError(g.tb, err)
	return &instance{in, g.tb}
}

// clone makes an instance that is what was captured.
func (g *guest) clone() *instance {
	g.tb.Helper()
	in := g.instance()
	require.NoError(g.tb, in.Apply(&g.state))
	return in
}

func (in *instance) close() {
	in.tb.Helper()
	require.NoError(in.tb, in.Module.Close(context.Background()))
	require.Zero(in.tb, in.Memory.Opened(), "the engine has freed it")
}

// try calls a function.
func (in *instance) try(name string, args ...uint64) (uint32, error) {
	in.tb.Helper()
	results, err := in.Module.ExportedFunction(name).Call(in.tb.Context(), args...)
	if err != nil || len(results) == 0 {
		return 0, err
	}
	return api.DecodeU32(results[0]), nil
}

// call calls a function that does not fail.
func (in *instance) call(name string, args ...uint64) uint32 {
	in.tb.Helper()
	result, err := in.try(name, args...)
	require.NoError(in.tb, err, "%s%v", name, args)
	return result
}

// restored brings the instance back and compares all of it.
func (in *instance) restored(s *snapshot.State) {
	in.tb.Helper()
	require.NoError(in.tb, in.Restore(s))
	require.NoError(in.tb, in.Check(s))
	require.EqualValues(in.tb, s.Size, in.Memory.Size())
	require.EqualValues(in.tb, s.Size, in.Memory.Peak())
	require.Zero(in.tb, in.Memory.Refused())
}
