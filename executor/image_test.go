package executor_test

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

// states makes functions of one tiny guest that keeps state.
func states(t *testing.T, g guesttest.CountGuest) func(name string) raw {
	t.Helper()
	m := tiny(t, "state", guesttest.TinyCount(g))
	return func(name string) raw { return raw{Module: m, Name: name} }
}

// snapshots returns an executor whose calls start from images.
func snapshots(t *testing.T, o executor.Options) *executor.Executor {
	t.Helper()
	o.StartMethod = startmethod.Snapshot
	return newExecutor(t, o)
}

// show makes a call that succeeds and returns the state that it shows.
func show(t *testing.T, ex *executor.Executor, fn raw) (guesttest.Counts, executor.Usage) {
	t.Helper()
	f := executor.Submit(t.Context(), ex, fn, nil)
	out, err := wait(t, f)
	require.NoError(t, err)
	s, _, ok := guesttest.ParseCounts(out)
	require.True(t, ok)
	return s, f.Usage()
}

// first is the state that a call of count leaves in a clean instance.
var first = guesttest.Counts{Memory: 1, Global: 1}

// clean makes a call that finds a clean instance, one that is a clone.
func clean(t *testing.T, ex *executor.Executor, fn raw) executor.Usage {
	t.Helper()
	s, u := show(t, ex, fn)
	require.Equal(t, first, s)
	require.Equal(t, startmethod.Snapshot, u.StartMethod, u.Fallback)
	require.Empty(t, u.Fallback)
	return u
}

// fellBack makes a call that finds a clean instance, one that is no clone, and returns
// the reason.
func fellBack(t *testing.T, ex *executor.Executor, fn raw) string {
	t.Helper()
	s, u := show(t, ex, fn)
	require.Equal(t, first, s)
	require.Equal(t, startmethod.Precompiled, u.StartMethod)
	require.NotEmpty(t, u.Fallback)
	return u.Fallback
}

// captured requires that the executor has captured n images so far.
func captured(t *testing.T, ex *executor.Executor, n int) {
	t.Helper()
	require.EqualValues(t, n, ex.Stats().Captured)
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*executor.Executor){"files": func(*executor.Executor) {}, "inline": executor.SetInline} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ex, fn := snapshots(t, executor.Options{Workers: 2}), states(t, guesttest.CountGuest{Grow: 20})
			set(ex)
			for range 5 {
				clean(t, ex, fn("count"))
			}
			for _, f := range []string{"fail", "trap", "exit", "panic", "overflow"} {
				_, err := call(t, ex, fn(f), nil)
				if f == "overflow" {
					require.ErrorIs(t, err, &executor.LimitError{Limit: "stack"})
				} else {
					var ge *executor.GuestError
					require.ErrorAs(t, err, &ge, f)
				}
				clean(t, ex, fn("count"))
			}
			u := clean(t, ex, fn("grow"))
			require.EqualValues(t, 21<<16, u.Memory)
			require.EqualValues(t, 1<<16, clean(t, ex, fn("count")).Memory, "it has shrunk")
			captured(t, ex, 1)
			require.Zero(t, ex.Stats().WorkersDied)
		})
	}
}

// A Go guest begins every call with what its initialisation has left.
func TestSnapshot_go(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*executor.Executor){"files": func(*executor.Executor) {}, "inline": executor.SetInline} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ex, m := snapshots(t, executor.Options{Workers: 1}), fixture(t)
			set(ex)
			counter := executor.Func[struct{}, int]{Module: m, Name: "counter"}
			for range 20 {
				f := executor.Submit(t.Context(), ex, counter, struct{}{})
				n, err := wait(t, f)
				require.NoError(t, err)
				require.Equal(t, 1, n)
				require.Equal(t, startmethod.Snapshot, f.Usage().StartMethod, f.Usage().Fallback)
			}
			// What ends an instance in the midst of it.
			for _, f := range []string{"panicgo", "deadlock", "nilmap"} {
				_, err := call(t, ex, executor.Func[string, struct{}]{Module: m, Name: f}, "x")
				require.Error(t, err, f)
				n, err := call(t, ex, counter, struct{}{})
				require.NoError(t, err)
				require.Equal(t, 1, n)
			}
			mib, err := call(t, ex, executor.Func[int, int]{Module: m, Name: "alloc"}, 10)
			require.NoError(t, err)
			require.Equal(t, 10, mib)
			mib, err = call(t, ex, executor.Func[int, int]{Module: m, Name: "alloc"}, 0)
			require.NoError(t, err)
			require.Zero(t, mib)
			captured(t, ex, 1)
		})
	}
}

// A call that comes to a limit leaves nothing behind either.
func TestSnapshot_limits(t *testing.T) {
	t.Parallel()
	ex, fn := snapshots(t, executor.Options{Workers: 1}), states(t, guesttest.CountGuest{Grow: 100})
	for _, tc := range []struct {
		name, limit string
		limits      executor.Limits
	}{
		{"grow", "memory", executor.Limits{Memory: 1 << 20}},
		{"log", "log", executor.Limits{Log: 1}},
		{"count", "output", executor.Limits{Output: 1}},
		{"loop", "wall", executor.Limits{Wall: 50 * time.Millisecond}},
	} {
		limited, after := fn(tc.name), fn("count")
		limited.Limits, after.Limits.Memory = tc.limits, tc.limits.Memory
		for range 2 {
			_, err := call(t, ex, limited, nil)
			require.ErrorIs(t, err, &executor.LimitError{Limit: tc.limit})
			clean(t, ex, after)
		}
	}
}

func TestSnapshot_workers(t *testing.T) {
	t.Parallel()
	g := newGate()
	ex, fn := snapshots(t, executor.Options{Workers: 3, Batch: -1, Host: host(t, g.call)}), states(t, guesttest.CountGuest{})("host")
	fn.Grants.Host = []string{"host"}
	for round := range 2 {
		var fs []*executor.Future[[]byte]
		for range 3 {
			fs = append(fs, executor.Submit(t.Context(), ex, fn, nil))
		}
		g.entered(t, 3*(round+1)) // three at a time
		g.open(t, 3)
		for _, f := range fs {
			out, err := wait(t, f)
			require.NoError(t, err)
			s, _, _ := guesttest.ParseCounts(out)
			require.Equal(t, first, s)
		}
	}
	captured(t, ex, 1)
	require.EqualValues(t, 3, ex.Stats().WorkersStarted)
}

func TestSnapshot_prewarm(t *testing.T) {
	t.Parallel()
	ex, fn := snapshots(t, executor.Options{Workers: 2, Standby: 1}), states(t, guesttest.CountGuest{})
	require.NoError(t, ex.Prewarm(t.Context(), 2, fn("count").Module))
	captured(t, ex, 1)
	for range 3 {
		require.False(t, clean(t, ex, fn("count")).Cold, "the module is there")
	}
	captured(t, ex, 1)
}

func TestSnapshot_recycling(t *testing.T) {
	t.Parallel()
	ex, fn := snapshots(t, executor.Options{Workers: 1, CallsPerWorker: 2}), states(t, guesttest.CountGuest{})
	pids := make(map[int]bool)
	for range 6 {
		pids[clean(t, ex, fn("count")).PID] = true
	}
	require.GreaterOrEqual(t, len(pids), 3)
	captured(t, ex, 1)
}

func TestSnapshot_workerKilled(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no signals on Windows")
	}
	var ex *executor.Executor
	ex = snapshots(t, executor.Options{Workers: 1, Host: host(t, killsOwnWorker(t, &ex, 1))})
	fn := states(t, guesttest.CountGuest{})("host")
	fn.Grants.Host = []string{"host"}
	_, err := call(t, ex, fn, nil)
	var we *executor.WorkerError
	require.ErrorAs(t, err, &we)
	clean(t, ex, fn)
	captured(t, ex, 1)
}

// Everything that init may depend on has an image of its own.
func TestSnapshot_keys(t *testing.T) {
	t.Parallel()
	m, err := executor.NewHostModule(executor.HostFunc("a", bottom), executor.HostFunc("b", bottom))
	require.NoError(t, err)
	fn := states(t, guesttest.CountGuest{})("count")
	for name, tc := range map[string]struct {
		isolate executor.Switch
		change  func(fn *raw)
		images  int
	}{
		"same":             {executor.Auto, func(*raw) {}, 1},
		"function":         {executor.Auto, func(fn *raw) { fn.Name = "log" }, 1},
		"tenant":           {executor.Auto, func(fn *raw) { fn.Tenant = "t" }, 2},
		"tenant, shared":   {executor.Off, func(fn *raw) { fn.Tenant = "t" }, 1},
		"memory":           {executor.Auto, func(fn *raw) { fn.Limits.Memory = 1 << 20 }, 2},
		"output":           {executor.Auto, func(fn *raw) { fn.Limits.Output = 1 << 10 }, 1},
		"priority":         {executor.Auto, func(fn *raw) { fn.Priority = 1 }, 1},
		"host":             {executor.Auto, func(fn *raw) { fn.Grants.Host = []string{"b"} }, 2},
		"host, other":      {executor.Auto, func(fn *raw) { fn.Grants.Host = []string{"a", "b"} }, 2},
		"seed":             {executor.Auto, func(fn *raw) { fn.Grants.Seed = 7 }, 2},
		"module":           {executor.Auto, func(fn *raw) { *fn = states(t, guesttest.CountGuest{Hook: guesttest.FailHook})("peek") }, 1},
		"module's data":    {executor.Auto, func(fn *raw) { fn.Module = states(t, guesttest.CountGuest{Salt: "!"})("").Module }, 2},
		"method, the same": {executor.Auto, func(fn *raw) { fn.StartMethod = startmethod.Snapshot }, 1},
		"warm, the same":   {executor.Auto, func(fn *raw) { fn.StartMethod = startmethod.Warm }, 1},
		"precompiled":      {executor.Auto, func(fn *raw) { fn.StartMethod = startmethod.Precompiled }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ex := snapshots(t, executor.Options{Workers: 1, Host: m, IsolateTenants: tc.isolate})
			other := fn
			tc.change(&other)
			for range 2 {
				clean(t, ex, fn)
				_, err := call(t, ex, other, nil)
				if name != "module" {
					require.NoError(t, err)
				}
			}
			captured(t, ex, tc.images)
		})
	}
}

// Modules that differ in their data alone are the same once that has been taken out.
func TestSnapshot_data(t *testing.T) {
	t.Parallel()
	ex := snapshots(t, executor.Options{Workers: 1, CacheDir: executor.NoCacheDir})
	for range 3 {
		for _, salt := range []string{"a", "b"} {
			out, err := call(t, ex, states(t, guesttest.CountGuest{Salt: salt})("count"), nil)
			require.NoError(t, err)
			s, got, _ := guesttest.ParseCounts(out)
			require.Equal(t, first, s)
			require.Equal(t, salt, got)
		}
	}
	captured(t, ex, 2)
}

// Many calls wait for one image.
func TestSnapshot_together(t *testing.T) {
	t.Parallel()
	ex, fn := snapshots(t, executor.Options{Workers: 2}), states(t, guesttest.CountGuest{})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			f := executor.Submit(t.Context(), ex, fn([]string{"count", "log"}[i%2]), nil)
			if _, err := f.Wait(t.Context()); err != nil || f.Usage().StartMethod != startmethod.Snapshot {
				t.Error(err, f.Usage())
			}
		})
	}
	wg.Wait()
	captured(t, ex, 1)
}
