package executor_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/startmethod"
)

// TestRecycle_domain has one worker's place taken by tenants in turn: none gets a
// process that has served another.
func TestRecycle_domain(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 1}), echoFunc(t)
	for _, tenant := range []string{"a", "a", "b", "b", "a", ""} {
		_, err := call(t, ex, as(echo, tenant), nil)
		require.NoError(t, err)
	}
	eventually(t, ex, func(s executor.Stats) bool { return s.WorkersRetired == 3 && s.Workers == 1 })
	s := ex.Stats()
	require.EqualValues(t, 4, s.WorkersStarted)
	require.Zero(t, s.WorkersKilled+s.WorkersDied, "a change of domain loses no worker")
}

// modules are small ones that are all different and of the same size.
func modules(t *testing.T, n int) []raw {
	t.Helper()
	all := make([]raw, n)
	for i := range all {
		wasm := append(guesttest.TinyEcho(), guesttest.Section(0, append([]byte{1, byte(i)}, make([]byte, 1<<20)...))...)
		all[i] = raw{Module: tiny(t, "many", wasm), Name: "echo"}
	}
	return all
}

// TestRecycle_modules: a worker holds a bounded number of modules, and a bounded number of
// bytes of them and of their code.
func TestRecycle_modules(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		code float64 // that a worker may hold, as a multiple of what one takes
		want int
	}{
		"number":          {100, executor.MaxWorkerModules},
		"bytes":           {5.5, 5},
		"larger than all": {0.1, 1},
	} {
		for _, method := range []startmethod.Method{startmethod.Fresh, startmethod.Precompiled, startmethod.Snapshot} {
			t.Run(name+", "+string(method), func(t *testing.T) {
				t.Parallel()
				ex := newExecutor(t, executor.Options{Workers: 1, CacheDir: executor.NoCacheDir})
				n := executor.MaxWorkerModules + 4
				all := modules(t, n)
				for i := range all {
					all[i].StartMethod = method
				}
				_, err := call(t, ex, all[0], []byte("x"))
				require.NoError(t, err)
				executor.SetMaxCode(ex, int64(tc.code*float64(executor.CodeSize(ex, all[0].Module, method))))
				for i := range 2 * n {
					fn := all[i%n]
					f := executor.Submit(t.Context(), ex, fn, []byte("x"))
					out, err := wait(t, f)
					require.NoError(t, err)
					require.Equal(t, "x", string(out))
					require.LessOrEqual(t, executor.Held(ex), tc.want)
				}
				require.Equal(t, tc.want, executor.Held(ex))
				require.EqualValues(t, 1, ex.Stats().WorkersStarted)
			})
		}
	}
}

// TestRecycle_overflow: an instance whose stack has overflowed is not kept, though its
// worker is. A stack as large as can be has hundreds of megabytes.
func TestRecycle_overflow(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("a worker's memory is known on Linux only")
	}
	const most = 400 << 20 // each that were kept would have 130 MB
	ex := snapshots(t, executor.Options{Workers: 1, WorkerGrowth: -1})
	fn := states(t, guesttest.CountGuest{Hook: guesttest.CountHook})
	overflow, peek := fn("overflow"), fn("peek")
	pids := make(map[int]bool)
	for i := range 6 {
		overflow.Grants.Seed = uint64(i + 1) // each has an image, and so an instance, of its own
		peek.Grants.Seed = overflow.Grants.Seed
		f := executor.Submit(t.Context(), ex, overflow, nil)
		_, err := wait(t, f)
		require.Error(t, err)
		s, u := show(t, ex, peek)
		require.Zero(t, s.Memory, "nothing is left of the call that overflowed")
		pids[u.PID] = true
		require.Equal(t, u.PID, f.Usage().PID)
		if now, known := proc.Resident(u.PID); known && !raceEnabled {
			require.Less(t, now, int64(most), "call %d", i)
		}
	}
	require.Len(t, pids, 1)
}
