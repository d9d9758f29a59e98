package executor_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
)

func TestInline(t *testing.T) {
	t.Parallel()
	// A module over two BLOB frames, compiled and loaded through the pipe alone.
	m := tiny(t, "big", append(guesttest.TinyEcho(), guesttest.Section(0, append([]byte{1, 'p'}, make([]byte, 3<<20)...))...))
	ex := newExecutor(t, executor.Options{Workers: 2, CacheDir: executor.NoCacheDir})
	executor.SetInline(ex)
	in := bytes.Repeat([]byte("x"), 5<<20)
	for range 3 {
		out, err := call(t, ex, raw{Module: m, Name: "echo"}, in)
		require.NoError(t, err)
		require.True(t, bytes.Equal(in, out))
	}
	require.EqualValues(t, 1, ex.Stats().Compiled)
}

// TestSelf runs workers that are the test binary itself, whatever it was built
// with, so that the race detector sees a worker too.
func TestSelf(t *testing.T) {
	t.Parallel()
	ex, err := executor.New(&executor.Options{Workers: 2, CacheDir: executor.NoCacheDir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ex.Close()) })
	taken := 0
	for _, err := range executor.Map(t.Context(), ex, echoFunc(t), numbered(100, &taken)) {
		require.NoError(t, err)
	}
	_, err = call(t, ex, raw{Module: tiny(t, "l", guesttest.TinyLogFlood()), Name: "logflood"}, nil)
	require.ErrorIs(t, err, &executor.LimitError{Limit: "log"})
}

func TestManyModules(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, CacheDir: executor.NoCacheDir, StartMethod: "fresh"})
	// More than a worker holds, so that some are unloaded and loaded again.
	for round := range 2 {
		for i := range 40 {
			m := tiny(t, "many", append(guesttest.TinyEcho(), guesttest.Section(0, []byte{1, byte(i)})...))
			f := executor.Submit(t.Context(), ex, raw{Module: m, Name: "echo"}, []byte{byte(i)})
			out, err := wait(t, f)
			require.NoError(t, err, "round %d, module %d", round, i)
			require.Equal(t, []byte{byte(i)}, out)
			require.True(t, f.Usage().Cold, "round %d, module %d", round, i)
		}
	}
}

func TestManySlots(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 1}), echoFunc(t)
	for i := range 300 {
		echo.Limits.Output = int64(1000 + i)
		f := executor.Submit(t.Context(), ex, echo, []byte("x"))
		_, err := wait(t, f)
		require.NoError(t, err)
		require.Equal(t, i == 0, f.Usage().Cold, "the module stays while slots come and go")
	}
}
