package guesttest_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/sandpool/sandpool/internal/guesttest"
)

const maxPages = 16

var errFlooded = errors.New("enough")

// host is the other side of a tiny guest. It ends a flood by a panic.
type host struct {
	input, output []byte
	lines         []string
	code          uint32
	message       string
	stack         string
	names         []string // of host functions called
	answer        []byte   // what they answer
	status        uint32   // and return
}

// run instantiates the module and calls its only function with the codecs.
func (h *host) run(t *testing.T, wasm []byte, codecs uint32) (uint32, error) {
	t.Helper()
	r := newRuntime(t)
	h.instantiate(t, r)
	m, err := r.Instantiate(t.Context(), wasm)
	if err != nil {
		return 0, err
	}
	h.output = nil
	_, err = m.ExportedFunction("sandpool_v1_describe").Call(t.Context())
	require.NoError(t, err)
	require.Contains(t, string(h.output), `{"sdk":"tiny","functions":[{"name":"`)
	h.output = nil
	results, err := m.ExportedFunction("sandpool_v1_call").Call(t.Context(), 0, uint64(len(h.input)), uint64(codecs))
	if err != nil {
		return 0, err
	}
	return api.DecodeU32(results[0]), nil
}

func newRuntime(t *testing.T) wazero.Runtime {
	t.Helper()
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(maxPages))
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	_, err := wasi_snapshot_preview1.Instantiate(t.Context(), r)
	require.NoError(t, err)
	return r
}

func (h *host) instantiate(t *testing.T, r wazero.Runtime) {
	t.Helper()
	read := func(m api.Module, offset, length uint32) []byte {
		b, ok := m.Memory().Read(offset, length)
		require.True(t, ok)
		return b
	}
	b := r.NewHostModuleBuilder("sandpool_v1")
	b.NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, p, offset, length uint32) uint32 {
		if uint64(p)+uint64(length) > uint64(m.Memory().Size()) {
			panic(errors.New("input_read outside the memory"))
		}
		rest := h.input[min(int(offset), len(h.input)):]
		return uint32(copy(read(m, p, length), rest))
	}).Export("input_read")
	b.NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, p, length uint32) {
		if h.output = append(h.output, read(m, p, length)...); len(h.output) > 4<<20 {
			panic(errFlooded)
		}
	}).Export("output_write")
	b.NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, code, mp, ml, sp, sl uint32) {
		h.code, h.message, h.stack = code, string(read(m, mp, ml)), string(read(m, sp, sl))
	}).Export("fail")
	b.NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, _ int32, p, length uint32) {
		if h.lines = append(h.lines, string(read(m, p, length))); len(h.lines) > 1000 {
			panic(errFlooded)
		}
	}).Export("log")
	b.NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, np, nl, p, length uint32) uint32 {
		if h.names = append(h.names, string(read(m, np, nl))); len(h.names) > 1000 {
			panic(errFlooded)
		}
		h.answer = append([]byte("re: "), read(m, p, length)...)
		return h.status
	}).Export("host_call")
	b.NewFunctionBuilder().WithFunc(func() uint32 { return uint32(len(h.answer)) }).Export("host_size")
	b.NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, p, offset, length uint32) uint32 {
		return uint32(copy(read(m, p, length), h.answer[offset:]))
	}).Export("host_read")
	_, err := b.Instantiate(t.Context())
	require.NoError(t, err)
}

func TestTinyEcho(t *testing.T) {
	t.Parallel()
	wasm := guesttest.TinyEcho()
	for _, size := range []int{0, 1, 32 << 10, 32<<10 + 1, 1 << 20} {
		h := &host{input: bytes.Repeat([]byte("ab"), size)[:size]}
		result, err := h.run(t, wasm, 0)
		require.NoError(t, err)
		require.Zero(t, result)
		require.True(t, bytes.Equal(h.input, h.output), size)
	}
	h := new(host)
	result, err := h.run(t, wasm, 1)
	require.NoError(t, err)
	require.EqualValues(t, 1, result)
	require.EqualValues(t, 2, h.code)
	require.Equal(t, "echo takes and returns raw bytes", h.message)
}

func TestTinyPieces(t *testing.T) {
	t.Parallel()
	for _, in := range []int32{1000, 1 << 20, -1000, -(1 << 20)} {
		wasm := guesttest.TinyPieces(4, in, 30_000)
		for _, size := range []int{0, 1, 999, 1000, 1001, 4 << 16} {
			h := &host{input: make([]byte, size)}
			for i := range h.input {
				h.input[i] = byte(i * i >> 8)
			}
			result, err := h.run(t, wasm, 0)
			require.NoError(t, err)
			require.Zero(t, result)
			require.True(t, bytes.Equal(h.input, h.output), "%d of %d", in, size)
		}
	}
}

func TestTiny_errors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		wasm []byte
		want string
	}{
		{"Trap", guesttest.TinyTrap(), "wasm error: unreachable"},
		{"BadImport", guesttest.TinyBadImport(), "module[env] not instantiated"},
		{"StartTrap", guesttest.TinyStartTrap(), "wasm error: unreachable"},
		{"OutOfBounds", guesttest.TinyOutOfBounds(), "input_read outside the memory"},
		{"OutputFlood", guesttest.TinyOutputFlood(), errFlooded.Error()},
		{"LogFlood", guesttest.TinyLogFlood(), errFlooded.Error()},
		{"HostLoop", guesttest.TinyHostLoop("f"), errFlooded.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := (&host{input: []byte("x")}).run(t, test.wasm, 0)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestTinyExit(t *testing.T) {
	t.Parallel()
	for _, code := range []uint32{0, 7, 0xffffffff, 0xefffffff} {
		_, err := new(host).run(t, guesttest.TinyExit(code), 0)
		var exit *sys.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, code, exit.ExitCode())
	}
}

func TestTinyMemory(t *testing.T) {
	t.Parallel()
	for _, pages := range []uint32{1, 7} {
		h := new(host)
		_, err := h.run(t, guesttest.TinyMemory(pages), 0)
		require.NoError(t, err)
		require.Equal(t, pages, binary.LittleEndian.Uint32(h.output))
	}
	_, err := new(host).run(t, guesttest.TinyMemory(maxPages+1), 0)
	require.Error(t, err)
}

func TestTinyGrow(t *testing.T) {
	t.Parallel()
	h := new(host)
	_, err := h.run(t, guesttest.TinyGrow(), 0)
	require.NoError(t, err)
	require.EqualValues(t, maxPages-1, binary.LittleEndian.Uint32(h.output))
}

func TestTiny_failures(t *testing.T) {
	t.Parallel()
	h := new(host)
	result, err := h.run(t, guesttest.TinyForgedFail(77), 0)
	require.NoError(t, err)
	require.Zero(t, result)
	require.Equal(t, host{output: []byte("output"), code: 77, message: "forged", stack: "nowhere"}, *h)

	h = new(host)
	result, err = h.run(t, guesttest.TinySilentFail(), 0)
	require.NoError(t, err)
	require.EqualValues(t, 1, result)
	require.Zero(t, h.code)
}

func TestTinyHostCall(t *testing.T) {
	t.Parallel()
	wasm := guesttest.TinyHostCall("lookup")
	for _, size := range []int{0, 1, 64<<10 - 4, 64 << 10, 300_000} {
		h := &host{input: bytes.Repeat([]byte("ab"), size)[:size]}
		result, err := h.run(t, wasm, 0)
		require.NoError(t, err)
		require.Zero(t, result)
		require.Equal(t, []string{"lookup"}, h.names)
		require.True(t, bytes.Equal(append([]byte("re: "), h.input...), h.output), size)
	}
	for _, status := range []uint32{1, 2} {
		h := &host{input: []byte("x"), status: status}
		result, err := h.run(t, wasm, 0)
		require.NoError(t, err)
		require.EqualValues(t, 1, result)
		require.EqualValues(t, 1, h.code)
		require.Equal(t, "re: x", h.message)
		require.Empty(t, h.output)
	}
}

func TestTinySpin(t *testing.T) {
	t.Parallel()
	_, err := newRuntime(t).CompileModule(t.Context(), guesttest.TinySpin())
	require.NoError(t, err)
}

func TestTinyNoABI(t *testing.T) {
	t.Parallel()
	m, err := newRuntime(t).Instantiate(t.Context(), guesttest.TinyNoABI())
	require.NoError(t, err)
	results, err := m.ExportedFunction("add").Call(t.Context(), 2, 3)
	require.NoError(t, err)
	require.EqualValues(t, 5, api.DecodeU32(results[0]))
	require.Nil(t, m.ExportedFunction("sandpool_v1_call"))
}
