package serialize_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
)

// allocated returns how many bytes f allocates. Tests that use it are not
// parallel.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// newModule returns a module that is no refusal.
func newModule(t *testing.T, name string, wasm []byte) *serialize.Module {
	t.Helper()
	m, err := serialize.NewModule(name, wasm)
	require.NoError(t, err)
	return m
}

// moduleError returns err as what it must be.
func moduleError(t *testing.T, err error) *serialize.ModuleError {
	t.Helper()
	var me *serialize.ModuleError
	require.ErrorAs(t, err, &me)
	require.NotContains(t, me.Error(), "\n", "one line")
	return me
}

// str is a name in a module.
func str(s string) []byte {
	var b []byte
	n := len(s)
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(append(b, byte(n)), s...)
}

// shapes of functions.
var (
	i32s = func(n int) []guesttest.ValueType {
		return []guesttest.ValueType{guesttest.I32, guesttest.I32, guesttest.I32, guesttest.I32, guesttest.I32}[:n]
	}
	sigNone  = guesttest.Sig(nil)
	sigDescr = guesttest.Sig(nil, guesttest.I32)
	sigCall  = guesttest.Sig(i32s(3), guesttest.I32)
)

func zero() *guesttest.Code { return new(guesttest.Code).I32(0) }
