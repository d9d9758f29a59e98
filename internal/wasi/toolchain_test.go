package wasi_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandpool/sandpool/internal/cborcodec"
	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/wasi"
)

// compileC compiles testdata/guest.c with what C compiler there is.
func compileC(t *testing.T) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "guest.wasm")
	reason := "no clang"
	for _, clang := range []string{"clang", "clang-16"} {
		path, err := exec.LookPath(clang)
		if err != nil {
			continue
		}
		cmd := exec.CommandContext(t.Context(), path, "--target=wasm32-wasi", "-O1", "-o", out, "testdata/guest.c")
		if text, err := cmd.CombinedOutput(); err != nil {
			reason = fmt.Sprintf("%s cannot build for WASI: %s", clang, text)
			continue
		}
		wasm, err := os.ReadFile(out)
		require.NoError(t, err)
		return wasm
	}
	t.Skip(reason)
	return nil
}

func TestC(t *testing.T) {
	t.Parallel()
	wasm := compileC(t)
	w := newWorld()
	r := newRuntime(t)
	require.NoError(t, wasi.Instantiate(t.Context(), r, func() *wasi.System { return &w.System }))
	g := instantiate(t, r, wasm, wazero.NewModuleConfig())
	_, err := g.mod.ExportedFunction("_start").Call(t.Context())
	requireExit(t, err, 7)
	require.Equal(t, []string{
		"arg guest", "arg ", "arg two words", "env A=1", "env LONG=ünïcode and more", "A is 1",
		"real 1640995200.123456789", "mono 42.000000000", "random 1 2 3 4", "sleep 0", "poll 2 1 1",
		"isatty 1, fstat 0 1", "getchar -1, eof 1", "lseek -1 Invalid seek", "fopen 0", "closed 1", "unfinished",
	}, strings.Split(w.stdout.String(), "\n"))
	require.Equal(t, "last words\n", w.stderr.String())
	require.Equal(t, []int64{1_000_000_005}, w.slept)
}

// A goGuest is the Go guest, and the call it is running.
type goGuest struct {
	guest

	input, output []byte
	failed        string
	functions     map[string]uint32
}

// newGoGuest returns an initialised instance of the fixture.
func newGoGuest(t *testing.T, w *world) *goGuest {
	t.Helper()
	cache, err := wazero.NewCompilationCacheWithDir(filepath.Join(filepath.Dir(guesttest.CodeCache(t)), "wazero"))
	require.NoError(t, err)
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfig().WithCompilationCache(cache))
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	require.NoError(t, wasi.Instantiate(t.Context(), r, func() *wasi.System { return &w.System }))
	g := new(goGuest)
	view := func(m api.Module, p, n uint32) []byte {
		b, ok := m.Memory().Read(p, n)
		require.True(t, ok)
		return b
	}
	b := r.NewHostModuleBuilder(guestabi.ImportModule)
	b.NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, p, offset, n uint32) uint32 {
		return uint32(copy(view(m, p, n), g.input[min(int(offset), len(g.input)):]))
	}).Export("input_read")
	b.NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, p, n uint32) {
		g.output = append(g.output, view(m, p, n)...)
	}).Export("output_write")
	b.NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, _, p, n, _, _ uint32) {
		g.failed = string(view(m, p, n))
	}).Export("fail")
	b.NewFunctionBuilder().WithFunc(func(_, _, _ uint32) {}).Export("log")
	b.NewFunctionBuilder().WithFunc(func(_, _, _, _ uint32) uint32 { return guestabi.HostMissing }).Export("host_call")
	b.NewFunctionBuilder().WithFunc(func() uint32 { return 0 }).Export("host_size")
	b.NewFunctionBuilder().WithFunc(func(_, _, _ uint32) uint32 { return 0 }).Export("host_read")
	b.NewFunctionBuilder().WithFunc(func(_, _, _ uint32) uint32 { return 0 }).Export("codec_name")
	_, err = b.Instantiate(t.Context())
	require.NoError(t, err)
	g.guest = instantiate(t, r, guesttest.Bytes(t, "fixture"), wazero.NewModuleConfig())
	_, err = g.mod.ExportedFunction(guestabi.ExportInit).Call(t.Context())
	require.NoError(t, err)
	require.Zero(t, g.call(guestabi.ExportDescribe))
	d, err := guestabi.ParseDescription(g.output)
	require.NoError(t, err)
	g.functions = map[string]uint32{}
	for i, f := range d.Functions {
		g.functions[f.Name] = uint32(i)
	}
	return g
}

// run calls a function with in, and returns how the call ended.
func (g *goGuest) run(name string, in, out any) error {
	g.t.Helper()
	input, err := cborcodec.Enc().Marshal(in)
	require.NoError(g.t, err)
	g.input, g.output, g.failed = input, nil, ""
	require.Contains(g.t, g.functions, name)
	codecs := guestabi.CodecCBOR | guestabi.CodecCBOR<<8
	raw, _ := out.(*[]byte)
	if raw != nil {
		codecs = guestabi.CodecCBOR | guestabi.CodecRaw<<8
	}
	_, err = g.mod.ExportedFunction(guestabi.ExportCall).Call(context.Background(), uint64(g.functions[name]), uint64(len(input)), uint64(codecs))
	switch {
	case err != nil || g.failed != "":
	case raw != nil:
		*raw = g.output
	default:
		require.NoError(g.t, cborcodec.Dec().Unmarshal(g.output, out))
	}
	return err
}

func TestGo(t *testing.T) {
	t.Parallel()
	w := newWorld()
	elapsed := int64(worldMono)
	w.Nanotime = func() int64 { elapsed += 1000; return elapsed }
	w.Sleep = func(ns int64) { elapsed += ns }
	g := newGoGuest(t, w)
	var none struct{}

	require.NoError(t, g.run("print", "a line", &none))
	require.Equal(t, "a line\n", w.stdout.String())
	require.Equal(t, "a line\n", w.stderr.String())

	var sees struct{ Env, Args []string }
	require.NoError(t, g.run("env", none, &sees))
	require.Equal(t, w.Args, sees.Args)
	require.Equal(t, w.Env, sees.Env)

	var now int64
	require.NoError(t, g.run("now", none, &now))
	require.EqualValues(t, worldReal, now)

	var random struct{ Crypto, Math []byte }
	require.NoError(t, g.run("random", none, &random))
	require.Equal(t, []byte{1, 2, 3, 4, 5, 6, 7, 8}, random.Crypto)

	before := elapsed
	require.NoError(t, g.run("sleep", 3_600_000, &none), "an hour passes at once")
	require.GreaterOrEqual(t, elapsed-before, int64(3_600_000_000_000))

	var content []byte
	require.NoError(t, g.run("readfile", "/etc/passwd", &content))
	require.Contains(t, g.failed, "open /etc/passwd: ")
	require.Empty(t, content)

	requireExit(t, g.run("exit", 3, &none), 3)
	require.False(t, g.mod.IsClosed())
}
