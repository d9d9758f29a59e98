package benchtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/sandpool/sandpool/internal/guestabi"
)

// A Raw is a guest on wazero by itself, as a program without Sandpool runs it today:
// compiled once, wazero's own WASI and memory, and for each call a new instance that
// is initialised and closed. It is for one goroutine.
type Raw struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	config   wazero.ModuleConfig
	input    []byte
	output   []byte
	failed   error
}

// NewRaw compiles a module that implements the guest interface and imports no
// host functions.
func NewRaw(ctx context.Context, wasm []byte) (*Raw, error) {
	return NewRawOf(ctx, wasm, wazero.NewRuntimeConfig())
}

// NewRawOf is NewRaw for a runtime that is configured in another way.
func NewRawOf(ctx context.Context, wasm []byte, config wazero.RuntimeConfig) (*Raw, error) {
	r := &Raw{
		runtime: wazero.NewRuntimeWithConfig(ctx, config),
		config: wazero.NewModuleConfig().WithName("").WithStartFunctions(guestabi.ExportInit).
			WithRandSource(rand.Reader).WithSysWalltime().WithSysNanotime().WithSysNanosleep(),
	}
	if err := r.compile(ctx, wasm); err != nil {
		return nil, errors.Join(err, r.Close(ctx))
	}
	return r, nil
}

func (r *Raw) compile(ctx context.Context, wasm []byte) (err error) {
	if _, err = wasi_snapshot_preview1.Instantiate(ctx, r.runtime); err != nil {
		return err
	}
	if err = r.instantiateHost(ctx); err != nil {
		return err
	}
	r.compiled, err = r.runtime.CompileModule(ctx, wasm)
	return err
}

func (r *Raw) instantiateHost(ctx context.Context) error {
	b := r.runtime.NewHostModuleBuilder(guestabi.ImportModule)
	i32 := api.ValueTypeI32
	for name, f := range map[string]struct {
		call            api.GoModuleFunc
		params, results int
	}{
		"input_read":   {r.inputRead, 3, 1},
		"output_write": {r.outputWrite, 2, 0},
		"fail":         {r.fail, 5, 0},
		"log":          {func(context.Context, api.Module, []uint64) {}, 3, 0},
		"host_call":    {missing, 4, 1},
		"host_size":    {missing, 0, 1},
		"host_read":    {missing, 3, 1},
		"codec_name":   {missing, 3, 1},
	} {
		params, results := slices.Repeat([]api.ValueType{i32}, f.params), slices.Repeat([]api.ValueType{i32}, f.results)
		b.NewFunctionBuilder().WithGoModuleFunction(f.call, params, results).Export(name)
	}
	_, err := b.Instantiate(ctx)
	return err
}

var errMissing = errors.New("no host functions here")

func missing(context.Context, api.Module, []uint64) { panic(errMissing) }

var errBounds = errors.New("out of bounds memory access")

// view is a piece of the guest's memory.
func view(m api.Module, pointer, length uint64) []byte {
	b, ok := m.Memory().Read(api.DecodeU32(pointer), api.DecodeU32(length))
	if !ok {
		panic(errBounds)
	}
	return b
}

func (r *Raw) inputRead(_ context.Context, m api.Module, stack []uint64) {
	dst, offset := view(m, stack[0], stack[2]), api.DecodeU32(stack[1])
	stack[0] = api.EncodeU32(uint32(copy(dst, r.input[min(int(offset), len(r.input)):])))
}

func (r *Raw) outputWrite(_ context.Context, m api.Module, stack []uint64) {
	r.output = append(r.output, view(m, stack[0], stack[1])...)
}

func (r *Raw) fail(_ context.Context, m api.Module, stack []uint64) {
	r.failed = fmt.Errorf("guest failed: %s", view(m, stack[1], stack[2]))
}

// Call runs the guest's first function on raw bytes, in a new instance, and returns
// how long it took until the output was there and until the instance was closed.
func (r *Raw) Call(ctx context.Context, input []byte) (output []byte, answer, ready time.Duration, err error) {
	began := time.Now()
	m, err := r.Instantiate(ctx)
	if err != nil {
		return nil, 0, 0, err
	}
	err = r.CallIn(ctx, m, input)
	answer = time.Since(began)
	if e := m.Close(ctx); err == nil {
		err = e
	}
	return r.output, answer, time.Since(began), err
}

// Instantiate returns a new instance, initialised.
func (r *Raw) Instantiate(ctx context.Context) (api.Module, error) {
	return r.runtime.InstantiateModule(ctx, r.compiled, r.config)
}

// CallIn is Call in an instance that stays.
func (r *Raw) CallIn(ctx context.Context, m api.Module, input []byte) error {
	return r.CallFunction(ctx, m, 0, 0, input)
}

// CallFunction is CallIn for the function of that number, with codecs as guest/ABI.md
// has them. It leaves the output to Output.
func (r *Raw) CallFunction(ctx context.Context, m api.Module, function, codecs uint32, input []byte) error {
	r.input, r.output, r.failed = input, r.output[:0], nil
	results, err := m.ExportedFunction(guestabi.ExportCall).Call(ctx, uint64(function), uint64(len(input)), uint64(codecs))
	return r.outcome(results, err)
}

// outcome is what a call has come to.
func (r *Raw) outcome(results []uint64, err error) error {
	switch {
	case err != nil:
		return err
	case r.failed != nil:
		return r.failed
	case results[0] != 0:
		return fmt.Errorf("guest returned %d", results[0])
	}
	return nil
}

// Output is what the last call has written.
func (r *Raw) Output() []byte { return r.output }

// Close closes what is left.
func (r *Raw) Close(ctx context.Context) error { return r.runtime.Close(ctx) }
