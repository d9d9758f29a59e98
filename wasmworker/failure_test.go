package wasmworker_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero/sys"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/wasmworker"
)

// recursing is a guest that calls itself without end.
func recursing() []byte {
	t := guesttest.NewTiny()
	const self = 5 // four imports and describe
	return t.Finish("f", [2]uint32{1, 1}, nil, new(guesttest.Code).Get(0).Get(1).Get(2).Call(self))
}

// doing is a guest whose call has the body.
func doing(body *guesttest.Code) []byte {
	return guesttest.NewTiny().Finish("f", [2]uint32{1, 1}, nil, body)
}

// failing is a guest that says why and traps.
func failing() []byte {
	t := guesttest.NewTiny()
	body := new(guesttest.Code).I32(int32(guestabi.CodePanic)).Append(t.Text("why")).I32(0).I32(0).Call(t.Fail).Unreachable()
	return t.Finish("f", [2]uint32{1, 1}, nil, body)
}

func TestClassify_guests(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		wasm    []byte
		kind    uint32
		code    uint32
		exit    uint32
		message string
	}{
		"unreachable":    {guesttest.TinyTrap(), wire.KindGuest, guestabi.CodeTrap, 0, "unreachable"},
		"start function": {guesttest.TinyStartTrap(), wire.KindGuest, guestabi.CodeTrap, 0, "unreachable"},
		"exit 0":         {guesttest.TinyExit(0), wire.KindGuest, guestabi.CodeExit, 0, "exit status 0"},
		"exit 7":         {guesttest.TinyExit(7), wire.KindGuest, guestabi.CodeExit, 7, "exit status 7"},
		"exit like a cancellation": {
			guesttest.TinyExit(sys.ExitCodeContextCanceled), wire.KindGuest, guestabi.CodeExit, sys.ExitCodeContextCanceled, "exit status 4294967295",
		},
		"host function's pointer": {
			guesttest.TinyOutOfBounds(), wire.KindGuest, guestabi.CodeTrap, 0, "out of bounds memory access in input_read",
		},
		"out of bounds":   {doing(new(guesttest.Code).I32(-1).Load(0)), wire.KindGuest, guestabi.CodeTrap, 0, "out of bounds memory access"},
		"division":        {doing(new(guesttest.Code).I32(1).I32(0).Raw(0x6d)), wire.KindGuest, guestabi.CodeTrap, 0, "integer divide by zero"},
		"overflow":        {doing(new(guesttest.Code).I32(-1 << 31).I32(-1).Raw(0x6d)), wire.KindGuest, guestabi.CodeTrap, 0, "integer overflow"},
		"stack":           {recursing(), wire.KindGuest, guestabi.CodeTrap, 0, "stack overflow"},
		"forged":          {guesttest.TinyForgedFail(3), wire.KindGuest, guestabi.CodePanic, 0, "forged"},
		"fail and trap":   {failing(), wire.KindGuest, guestabi.CodePanic, 0, "why"},
		"forged trap":     {guesttest.TinyForgedFail(guestabi.CodeTrap), wire.KindGuest, guestabi.CodeError, 0, "forged"},
		"forged code 0":   {guesttest.TinyForgedFail(0), wire.KindGuest, guestabi.CodeError, 0, "forged"},
		"not a module":    {[]byte("text"), wire.KindModule, 0, 0, "magic"},
		"without its end": {guesttest.TinyEcho()[:100], wire.KindModule, 0, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := wasmworker.RunFailure(tc.wasm, 1<<20)
			require.NotNil(t, f)
			require.Equal(t, tc.kind, f.Kind(), "%+v", f)
			require.Equal(t, tc.code, f.Guest, "%+v", f)
			require.Equal(t, tc.exit, f.Exit)
			require.Contains(t, f.Message, tc.message)
			require.NotContains(t, f.Message, "wasm error")
			require.NotContains(t, f.Message, "\n")
			if tc.kind == wire.KindModule {
				require.EqualValues(t, serialize.Invalid, f.Module)
			}
			if tc.code == guestabi.CodeTrap && name != "stack" { // which is not walked when it overflows
				require.NotEmpty(t, f.Stack)
				require.NotContains(t, f.Stack, "\n\t")
			}
		})
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	const stack = "\nwasm stack trace:\n\t.f()\n\t.g()"
	for name, tc := range map[string]struct {
		err     error
		refused uint64
		want    wire.Failure
		kind    uint32
	}{
		"trap": {
			errors.New("wasm error: unreachable" + stack), 0,
			wire.Failure{Guest: guestabi.CodeTrap, Message: "unreachable", Stack: ".f()\n.g()"},
			wire.KindGuest,
		},
		"unknown": {
			errors.New("something new" + stack), 0,
			wire.Failure{Guest: guestabi.CodeTrap, Message: "something new", Stack: ".f()\n.g()"},
			wire.KindGuest,
		},
		"trap without memory": {
			errors.New("wasm error: unreachable" + stack), 2 << 20,
			wire.Failure{Limit: guestabi.LimitMemory, Max: 1 << 20, Used: 2 << 20},
			wire.KindLimit,
		},
		"exit without memory": {
			fmt.Errorf("call: %w", sys.NewExitError(2)), 2 << 20,
			wire.Failure{Guest: guestabi.CodeExit, Exit: 2, Message: "exit status 2"},
			wire.KindGuest,
		},
		"engine": {
			errors.New("index out of range (recovered by wazero)" + stack), 0,
			wire.Failure{Message: "engine failure: index out of range (recovered by wazero)" + stack},
			wire.KindInternal,
		},
		"engine without memory": {
			errors.New("index out of range (recovered by wazero)" + stack), 2 << 20,
			wire.Failure{Message: "engine failure: index out of range (recovered by wazero)" + stack},
			wire.KindInternal,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := wasmworker.Classify(tc.err, tc.refused)
			require.Equal(t, tc.kind, f.Kind())
			require.Equal(t, tc.want, f.Failure)
		})
	}
}

func TestFailure_cut(t *testing.T) {
	t.Parallel()
	f := &wasmworker.Failure{Failure: wire.Failure{
		Message: strings.Repeat("é", wasmworker.MaxMessage), Stack: "x" + strings.Repeat("é", wasmworker.MaxStack), Stderr: "\xa9 cut",
	}}
	f.Cut()
	for _, text := range []string{f.Message, f.Stack, f.Stderr} {
		require.True(t, utf8.ValidString(text))
	}
	require.Len(t, f.Message, wasmworker.MaxMessage)
	require.InDelta(t, wasmworker.MaxStack, len(f.Stack), 3)
	b, err := wire.Marshal(f.Failure)
	require.NoError(t, err)
	require.Less(t, len(b), wire.MaxFail)

	// Bytes that are no text grow threefold when they are mended.
	f = &wasmworker.Failure{Failure: wire.Failure{
		Message: strings.Repeat("\xff ", wasmworker.MaxMessage), Stack: strings.Repeat("\xff ", wasmworker.MaxStack),
		Stderr: strings.Repeat("\xff ", wasmworker.KeepStderr/2),
	}}
	f.Cut()
	b, err = wire.Marshal(f.Failure)
	require.NoError(t, err)
	require.Less(t, len(b), wire.MaxFail, "a host refuses larger ones, and the worker with them")
}
