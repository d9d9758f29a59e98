package executor_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/startmethod"
)

// moduleSize returns what an executor keeps of a module that was called.
func moduleSize(t *testing.T, fn raw) int64 {
	t.Helper()
	ex := newExecutor(t, executor.Options{Workers: 1, CacheDir: executor.NoCacheDir})
	_, err := call(t, ex, fn, []byte("x"))
	require.NoError(t, err)
	return executor.ModuleBytes(ex)
}

// TestModuleCache calls more modules than are kept, of which one is called all the time.
func TestModuleCache(t *testing.T) {
	t.Parallel()
	const kept, n = 4, 9
	for _, method := range []startmethod.Method{startmethod.Fresh, startmethod.Precompiled, startmethod.Snapshot, startmethod.Warm} {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			all := modules(t, n)
			for i := range all {
				all[i].StartMethod = method
			}
			each := moduleSize(t, all[0])
			require.Greater(t, each, int64(2<<20), "the module, and what workers are given of it")
			ex := newExecutor(t, executor.Options{
				Workers: 1, CacheDir: executor.NoCacheDir, ModuleCache: kept*each + each/2,
			})
			echo := func(fn raw) {
				out, err := call(t, ex, fn, []byte("x"))
				require.NoError(t, err)
				require.Equal(t, "x", string(out))
				require.LessOrEqual(t, executor.ModuleBytes(ex), kept*each+each/2)
			}
			for range 2 { // those that were dropped come back
				for i := 1; i < n; i++ {
					echo(all[0])
					echo(all[i])
					require.True(t, executor.HoldsModule(ex, all[0].Module), "it was used but for one last")
					require.True(t, executor.HoldsModule(ex, all[i].Module))
				}
				held, _ := executor.ModulesHeld(ex)
				require.Equal(t, kept, held)
				for i := 1; i < n; i++ {
					require.Equal(t, i > n-kept, executor.HoldsModule(ex, all[i].Module), "module %d", i)
				}
			}
			require.EqualValues(t, 1, ex.Stats().WorkersStarted, "its worker is given what it has lost")
		})
	}
}

// The module that was called last is kept however large it is.
func TestModuleCache_larger(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, CacheDir: executor.NoCacheDir, ModuleCache: 1})
	two := modules(t, 2)
	for range 3 {
		_, err := call(t, ex, two[0], nil)
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, ex.Stats().Compiled)
	_, err := call(t, ex, two[1], nil)
	require.NoError(t, err)
	require.False(t, executor.HoldsModule(ex, two[0].Module))
	require.True(t, executor.HoldsModule(ex, two[1].Module))
}

// Modules whose calls run stay, and go when those are over.
func TestModuleCache_used(t *testing.T) {
	t.Parallel()
	ex, h := newHolder(t, executor.Options{Workers: 2, ModuleCache: 1})
	f := executor.Submit(t.Context(), ex, h.fn, nil)
	h.begun(t)
	for _, fn := range modules(t, 3) {
		_, err := call(t, ex, fn, nil)
		require.NoError(t, err)
		require.True(t, executor.HoldsModule(ex, h.fn.Module))
	}
	held, _ := executor.ModulesHeld(ex)
	require.Equal(t, 2, held)
	f.Cancel()
	_, err := wait(t, f)
	require.Error(t, err)
	require.Eventually(t, func() bool { return !executor.HoldsModule(ex, h.fn.Module) }, hang, time.Millisecond)
}

// A negative bound is none.
func TestModuleCache_off(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, CacheDir: executor.NoCacheDir, ModuleCache: -1})
	for _, fn := range modules(t, 3) {
		_, err := call(t, ex, fn, nil)
		require.NoError(t, err)
	}
	held, _ := executor.ModulesHeld(ex)
	require.Equal(t, 3, held)
}
