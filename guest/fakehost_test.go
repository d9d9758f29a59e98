package guest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/sandpool/sandpool/internal/cborcodec"
	"github.com/sandpool/sandpool/internal/guesttest"
)

// compiled is a guest that has been compiled, and its runtime.
type compiled struct {
	runtime wazero.Runtime
	module  wazero.CompiledModule
}

// fixture is compiled once; its runtime lives as long as the test process.
var fixture = sync.OnceValues(func() (*compiled, error) {
	wasm, err := os.ReadFile(fixturePath)
	if err != nil {
		return nil, err
	}
	return compile(context.Background(), wasm)
})

// fixturePath is written before fixture is called.
var (
	fixturePath     string
	fixturePathOnce sync.Once
)

func compile(ctx context.Context, wasm []byte) (*compiled, error) {
	config := wazero.NewRuntimeConfig().WithMemoryLimitPages(1024).WithDebugInfoEnabled(false)
	r := wazero.NewRuntimeWithConfig(ctx, config)
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil {
		return nil, err
	}
	b := r.NewHostModuleBuilder("sandpool_v1")
	b.NewFunctionBuilder().WithFunc(func(ctx context.Context, m api.Module, p, offset, length uint32) uint32 {
		input := current(ctx).input
		input = input[min(int(offset), len(input)):]
		input = input[:min(int(length), len(input))]
		if !m.Memory().Write(p, input) {
			panic("input_read outside the memory")
		}
		return uint32(len(input))
	}).Export("input_read")
	b.NewFunctionBuilder().WithFunc(func(ctx context.Context, m api.Module, p, length uint32) {
		c := current(ctx)
		c.writes++
		c.output = append(c.output, view(m, p, length)...)
	}).Export("output_write")
	b.NewFunctionBuilder().WithFunc(func(ctx context.Context, m api.Module, code, mp, ml, sp, sl uint32) {
		c := current(ctx)
		c.code, c.message, c.stack = code, string(view(m, mp, ml)), string(view(m, sp, sl))
	}).Export("fail")
	b.NewFunctionBuilder().WithFunc(func(ctx context.Context, m api.Module, level int32, p, length uint32) {
		c := current(ctx)
		c.lines = append(c.lines, logged{level, string(view(m, p, length))})
	}).Export("log")
	// Every host function answers with its input, except that "fail" fails.
	b.NewFunctionBuilder().WithFunc(func(ctx context.Context, m api.Module, np, nl, p, length uint32) uint32 {
		c := current(ctx)
		c.calls++
		c.answer = bytes.Clone(view(m, p, length))
		if string(view(m, np, nl)) == "fail" {
			return 1
		}
		return 0
	}).Export("host_call")
	b.NewFunctionBuilder().WithFunc(func(ctx context.Context) uint32 { return uint32(len(current(ctx).answer)) }).Export("host_size")
	b.NewFunctionBuilder().WithFunc(func(ctx context.Context, m api.Module, p, offset, length uint32) uint32 {
		return uint32(copy(view(m, p, length), current(ctx).answer[offset:]))
	}).Export("host_read")
	// It has no names for codecs.
	b.NewFunctionBuilder().WithFunc(func(_, _, _ uint32) uint32 { return 0 }).Export("codec_name")
	if _, err := b.Instantiate(ctx); err != nil {
		return nil, err
	}
	module, err := r.CompileModule(ctx, wasm)
	return &compiled{runtime: r, module: module}, err
}

func view(m api.Module, p, length uint32) []byte {
	b, ok := m.Memory().Read(p, length)
	if !ok {
		panic("bytes outside the memory")
	}
	return b
}

// conversation is one call as the host sees it.
type conversation struct {
	input, output  []byte
	writes         int
	code           uint32
	message, stack string
	lines          []logged
	calls          int    // of host functions
	answer         []byte // of the last one
}

type logged struct {
	level int32
	text  string
}

type conversationKey struct{}

func current(ctx context.Context) *conversation {
	c, ok := ctx.Value(conversationKey{}).(*conversation)
	if !ok {
		panic("host function outside a call")
	}
	return c
}

// instance is one instance of the fixture.
type instance struct {
	t              *testing.T
	module         api.Module
	describe, run  api.Function
	index          map[string]uint32
	stdout, stderr bytes.Buffer
}

func newInstance(t *testing.T) *instance {
	t.Helper()
	fixturePathOnce.Do(func() { fixturePath = guesttest.Build(t, "fixture") })
	c, err := fixture()
	require.NoError(t, err)
	i := &instance{t: t}
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize").
		WithStdout(&i.stdout).WithStderr(&i.stderr)
	i.module, err = c.runtime.InstantiateModule(t.Context(), c.module, config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = i.module.Close(context.Background()) })
	i.describe = i.module.ExportedFunction("sandpool_v1_describe")
	i.run = i.module.ExportedFunction("sandpool_v1_call")
	require.NotNil(t, i.describe, "an export of a package that is not main")
	require.NotNil(t, i.run)

	var about struct{ Functions []struct{ Name string } }
	require.NoError(t, json.Unmarshal(i.description(), &about))
	i.index = make(map[string]uint32)
	for n, f := range about.Functions {
		i.index[f.Name] = uint32(n)
	}
	return i
}

func (i *instance) description() []byte {
	i.t.Helper()
	c := new(conversation)
	results, err := i.describe.Call(context.WithValue(i.t.Context(), conversationKey{}, c))
	require.NoError(i.t, err)
	require.Zero(i.t, api.DecodeU32(results[0]))
	return c.output
}

// call runs a function and checks that the result and the failure agree.
func (i *instance) call(name string, input []byte, codecs uint32) (*conversation, error) {
	i.t.Helper()
	index, ok := i.index[name]
	require.True(i.t, ok, name)
	c := &conversation{input: input}
	ctx := context.WithValue(i.t.Context(), conversationKey{}, c)
	results, err := i.run.Call(ctx, uint64(index), uint64(len(input)), uint64(codecs))
	if err == nil {
		require.Equal(i.t, c.code != 0, api.DecodeU32(results[0]) != 0)
		require.LessOrEqual(i.t, c.writes, 1)
	}
	return c, err
}

// value runs a CBOR function that must succeed.
func value[Out any](i *instance, name string, in any) Out {
	i.t.Helper()
	c, err := i.call(name, encode(i.t, in), cborAll)
	require.NoError(i.t, err, i.stderr.String())
	require.Zero(i.t, c.code, c.message)
	var out Out
	require.NoError(i.t, cborcodec.Dec().Unmarshal(c.output, &out))
	return out
}

// failure runs a CBOR function that must call fail.
func (i *instance) failure(name string, in any) *conversation {
	i.t.Helper()
	c, err := i.call(name, encode(i.t, in), cborAll)
	require.NoError(i.t, err, i.stderr.String())
	require.NotZero(i.t, c.code)
	return c
}
