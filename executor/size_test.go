package executor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
)

// eventually waits until the executor's figures are as wanted.
func eventually(t *testing.T, ex *executor.Executor, want func(s executor.Stats) bool) {
	t.Helper()
	require.Eventually(t, func() bool { return want(ex.Stats()) }, hang, time.Millisecond, "%+v", ex.Stats())
}

func TestResize(t *testing.T) {
	t.Parallel()
	ex, hold := newHolder(t, executor.Options{Interrupt: executor.KillOnly, Workers: 1})
	var futures []*executor.Future[[]byte]
	for range 3 {
		futures = append(futures, executor.Submit(t.Context(), ex, hold.fn, nil))
	}
	hold.begun(t)
	require.Equal(t, executor.Queued, futures[1].State())
	require.NoError(t, ex.Resize(3))
	hold.begun(t)
	hold.begun(t)
	s := ex.Stats()
	require.Equal(t, 3, s.Limit)
	require.Equal(t, 3, s.Workers)
	require.Equal(t, 3, s.Running)
	require.Zero(t, s.Queued+s.Idle)

	require.NoError(t, ex.Resize(1))
	s = ex.Stats()
	require.Equal(t, 1, s.Limit)
	require.Equal(t, 3, s.Running, "busy ones are left to end their calls")
	queued := executor.Submit(t.Context(), ex, echoFunc(t), []byte("x"))
	futures[0].Cancel()
	futures[1].Cancel()
	require.Equal(t, executor.Queued, queued.State(), "one place, and that is taken")
	require.Equal(t, 1, ex.Stats().Workers)
	futures[2].Cancel()
	out, err := wait(t, queued)
	require.NoError(t, err)
	require.Equal(t, "x", string(out))
	require.LessOrEqual(t, ex.Stats().Workers, 1)

	var oe *executor.OptionError
	for _, n := range []int{0, -1, 2001} {
		require.ErrorAs(t, ex.Resize(n), &oe)
	}
	require.Equal(t, 1, ex.Stats().Limit)
	require.NoError(t, ex.Resize(2000))
	require.NoError(t, ex.Close())
	require.ErrorIs(t, ex.Resize(1), executor.ErrShutdown)
}

// TestResize_idle sends idle workers home at once.
func TestResize_idle(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 3, IdleTimeout: -1})
	require.NoError(t, ex.Prewarm(t.Context(), 0))
	require.Equal(t, 3, ex.Stats().Idle)
	require.NoError(t, ex.Resize(1))
	s := ex.Stats()
	require.Equal(t, 1, s.Workers)
	require.Equal(t, 1, s.Idle)
	eventually(t, ex, func(s executor.Stats) bool { return s.WorkersRetired == 2 })
}

// TestResize_underLoad changes the size all the time and loses no call.
func TestResize_underLoad(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2}), echoFunc(t)
	var futures []*executor.Future[[]byte]
	for i := range 40 {
		for range 40 {
			futures = append(futures, executor.Submit(t.Context(), ex, echo, []byte("x")))
		}
		require.NoError(t, ex.Resize(1+i%4))
	}
	for _, f := range futures {
		out, err := wait(t, f)
		require.NoError(t, err)
		require.Equal(t, "x", string(out))
	}
	s := ex.Stats()
	require.Zero(t, s.WorkersDied+s.WorkersKilled)
	require.EqualValues(t, len(futures), s.Succeeded)
}

func TestMinWorkers(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Interrupt: executor.KillOnly, Workers: 3, MinWorkers: 2, IdleTimeout: time.Millisecond})
	eventually(t, ex, func(s executor.Stats) bool { return s.Idle == 2 })
	spin := spinFunc(t)
	var futures []*executor.Future[[]byte]
	for range 3 {
		futures = append(futures, executor.Submit(t.Context(), ex, spin, nil))
	}
	eventually(t, ex, func(s executor.Stats) bool { return s.Running == 3 })
	for _, f := range futures {
		f.Cancel()
	}
	eventually(t, ex, func(s executor.Stats) bool { return s.Idle == 2 && s.Workers == 2 })
	for range 2 {
		_, err := call(t, ex, echoFunc(t), nil)
		require.NoError(t, err)
	}
	eventually(t, ex, func(s executor.Stats) bool { return s.WorkersKilled+s.WorkersRetired > 0 }) // fewer than 3 where a call had not been sent
}

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 2, IdleTimeout: time.Millisecond})
	for n := range uint64(3) {
		f := executor.Submit(t.Context(), ex, echoFunc(t), nil)
		_, err := wait(t, f)
		require.NoError(t, err)
		eventually(t, ex, func(s executor.Stats) bool { return s.Workers == 0 && s.WorkersRetired == n+1 })
		processGone(t, f.Usage().PID)
	}
	require.Zero(t, ex.Stats().WorkersKilled)
}

// TestIdleTimeout_hammer lets calls and the timeout race.
func TestIdleTimeout_hammer(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2, IdleTimeout: time.Microsecond}), echoFunc(t)
	for range 100 {
		_, err := call(t, ex, echo, nil)
		require.NoError(t, err)
	}
	s := ex.Stats()
	require.Zero(t, s.WorkersDied+s.WorkersKilled)
}

// pidsOf runs n calls, all submitted at once after a first one, and returns the
// processes that served them, each once.
func pidsOf(t *testing.T, ex *executor.Executor, n int) []int {
	t.Helper()
	echo := echoFunc(t)
	_, err := call(t, ex, echo, nil)
	require.NoError(t, err)
	var futures []*executor.Future[[]byte]
	for range n {
		futures = append(futures, executor.Submit(t.Context(), ex, echo, nil))
	}
	var pids []int
	for _, f := range futures {
		_, err := wait(t, f)
		require.NoError(t, err)
		pids = append(pids, f.Usage().PID)
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

func TestCallsPerWorker(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, CallsPerWorker: 1})
	require.Len(t, pidsOf(t, ex, 20), 20, "each call has a process of its own, also where many are short")
	s := ex.Stats()
	require.EqualValues(t, 21, s.WorkersStarted)
	require.Zero(t, s.WorkersKilled+s.WorkersDied)

	ex = newExecutor(t, executor.Options{Workers: 1, CallsPerWorker: 7})
	require.Len(t, pidsOf(t, ex, 27), 4, "1 and 27 calls are 4 times 7")
	ex = newExecutor(t, executor.Options{Workers: 1, CallsPerWorker: -1, WorkerAge: -1, WorkerGrowth: -1})
	require.Len(t, pidsOf(t, ex, 500), 1)
}

func TestWorkerAge(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, WorkerAge: time.Nanosecond, Batch: -1})
	require.Len(t, pidsOf(t, ex, 5), 5, "a worker that is too old from its birth serves one call")
	require.NoError(t, ex.Prewarm(t.Context(), 1, echoFunc(t).Module))
	s := ex.Stats()
	require.Zero(t, s.WorkersKilled+s.WorkersDied)
}

// TestWorkerGrowth has a worker keep more memory with each call.
func TestWorkerGrowth(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("a worker's memory is known on Linux only")
	}
	const leak = 8 << 20 // of the role
	ex := newExecutor(t, executor.Options{
		Workers: 1, WorkerPath: script(t, "leaks"), StartMethod: "fresh", WorkerGrowth: 4*leak + leak/2, GrowthCheck: time.Nanosecond,
	})
	echo := echoFunc(t)
	calls := make(map[int]int)
	for range 20 {
		f := executor.Submit(t.Context(), ex, echo, nil)
		_, err := wait(t, f)
		require.NoError(t, err)
		calls[f.Usage().PID]++
		eventually(t, ex, func(s executor.Stats) bool { return s.Workers == 0 || s.Idle == 1 })
	}
	require.GreaterOrEqual(t, len(calls), 3)
	few := 0
	for pid, n := range calls {
		// The first call is what the others are measured from.
		require.LessOrEqual(t, n, 7, "process %d", pid)
		if n < 4 {
			few++
		}
	}
	if !raceEnabled { // which takes more memory for each byte
		require.LessOrEqual(t, few, 1, "%v: not before it has grown, but for the last", calls)
	}
	s := ex.Stats()
	require.Zero(t, s.WorkersKilled+s.WorkersDied)
	require.EqualValues(t, len(calls), s.WorkersStarted)
}

// TestWorkerGrowth_deaf has a worker die of the request to collect its garbage.
func TestWorkerGrowth_deaf(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("a worker's memory is known on Linux only")
	}
	ex := newExecutor(t, executor.Options{Workers: 1, WorkerPath: script(t, "uncollected"), StartMethod: "fresh", GrowthCheck: time.Nanosecond})
	for range 3 {
		_, err := call(t, ex, echoFunc(t), nil)
		require.NoError(t, err, "it had answered its call")
	}
	eventually(t, ex, func(s executor.Stats) bool { return s.WorkersDied == 3 })
}

// workersOf lists the processes of an executor with that name.
func workersOf(t *testing.T, name string) map[int]string {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	found := make(map[int]string)
	for _, line := range lines {
		b, _ := os.ReadFile(line) // it may have ended
		if first, _, _ := strings.Cut(string(b), "\x00"); strings.HasPrefix(first, "sandpool-"+name+"-") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(line)))
			require.NoError(t, err)
			found[pid] = first
		}
	}
	return found
}

func TestName(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	ex := newExecutor(t, executor.Options{Workers: 1, Name: "named.A-1_"})
	f := executor.Submit(t.Context(), ex, echoFunc(t), nil)
	_, err := wait(t, f)
	require.NoError(t, err)
	require.Equal(t, map[int]string{f.Usage().PID: "sandpool-named.A-1_-worker-1"}, workersOf(t, "named.A-1_"))
}

// TestStandby kills workers: each time a process that was there before takes over,
// with the module loaded.
func TestStandby(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	ex, echo := newExecutor(t, executor.Options{Workers: 1, Standby: 1, Name: "standby"}), echoFunc(t)
	eventually(t, ex, func(s executor.Stats) bool { return s.Standby == 1 })
	for i := range 3 {
		f := executor.Submit(t.Context(), ex, echo, nil)
		_, err := wait(t, f)
		require.NoError(t, err)
		require.Equal(t, i == 0, f.Usage().Cold, "call %d", i)
		eventually(t, ex, func(executor.Stats) bool { return executor.Stocked(ex, echo.Module) == 1 })
		before := workersOf(t, "standby")
		require.Len(t, before, 2)
		pid := f.Usage().PID
		require.NoError(t, kill(pid))
		processGone(t, pid)
		f = executor.Submit(t.Context(), ex, echo, nil)
		_, err = wait(t, f)
		require.NoError(t, err)
		require.NotEqual(t, pid, f.Usage().PID)
		require.Contains(t, before, f.Usage().PID, "it was there before")
		require.False(t, f.Usage().Cold)
	}
	require.Equal(t, 1, ex.Stats().Workers)
	require.NoError(t, ex.Close())
	require.Empty(t, workersOf(t, "standby"))
}

func TestPrewarm(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 3}), echoFunc(t)
	other := uniqueEcho(t, "prewarm")
	require.NoError(t, ex.Prewarm(t.Context(), 2, echo.Module, other))
	s := ex.Stats()
	require.Equal(t, 2, s.Idle)
	require.Equal(t, 2, s.Workers)
	require.Zero(t, s.Submitted)
	for _, m := range []*serialize.Module{echo.Module, other} {
		f := executor.Submit(t.Context(), ex, raw{Module: m, Name: "echo"}, nil)
		_, err := wait(t, f)
		require.NoError(t, err)
		require.False(t, f.Usage().Cold)
	}
	require.NoError(t, ex.Prewarm(t.Context(), 100))
	require.Equal(t, 3, ex.Stats().Workers, "at most as many as there may be")
	require.NoError(t, ex.Prewarm(t.Context(), 1))
	require.Equal(t, 3, ex.Stats().Workers)

	var oe *executor.OptionError
	require.ErrorAs(t, ex.Prewarm(t.Context(), -1), &oe)
	require.ErrorAs(t, ex.Prewarm(t.Context(), 1, nil), &oe)
	broken := tiny(t, "noabi", guesttest.TinyBadImport())
	var me *serialize.ModuleError
	require.ErrorAs(t, ex.Prewarm(t.Context(), 1, broken), &me)
	_, err := call(t, ex, echo, nil)
	require.NoError(t, err)
	require.NoError(t, ex.Close())
	require.ErrorIs(t, ex.Prewarm(t.Context(), 1), executor.ErrShutdown)
}

// TestPrewarm_busy waits for a worker that is busy, until ctx ends.
func TestPrewarm_busy(t *testing.T) {
	t.Parallel()
	ex, hold := newHolder(t, executor.Options{Workers: 1})
	f := executor.Submit(t.Context(), ex, hold.fn, nil)
	hold.begun(t)
	require.NoError(t, ex.Prewarm(t.Context(), 1), "the worker is up")
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- ex.Prewarm(ctx, 1, echoFunc(t).Module) }()
	eventually(t, ex, func(executor.Stats) bool { return executor.Tasks(ex) == 1 })
	cancel(reason)
	require.ErrorIs(t, <-ended, reason)
	require.Equal(t, executor.Running, f.State())
	go func() { ended <- ex.Prewarm(t.Context(), 1, echoFunc(t).Module) }()
	eventually(t, ex, func(executor.Stats) bool { return executor.Tasks(ex) == 2 })
	f.Cancel()
	require.NoError(t, <-ended, "a worker that is lost is not missed")
}

func TestPrewarm_brokenWorker(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the broken worker is a shell script")
	}
	path := filepath.Join(t.TempDir(), "worker")
	ex := newExecutor(t, executor.Options{Workers: 2, WorkerPath: path, StartMethod: "fresh"})
	var se *executor.StartError
	require.ErrorAs(t, ex.Prewarm(t.Context(), 2), &se)
	require.Equal(t, "launch", se.Stage)
	first := se
	require.ErrorAs(t, ex.Prewarm(t.Context(), 2), &se)
	require.NotSame(t, first, se)

	// Once it can be started all is well again, at the first attempt.
	worker := guesttest.Worker(t)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\nexec "+strconv.Quote(worker)+" \"$@\"\n"), 0o700))
	require.NoError(t, ex.Prewarm(t.Context(), 2))
	require.Equal(t, 2, ex.Stats().Workers)
	_, err := call(t, ex, echoFunc(t), nil)
	require.NoError(t, err)
}

func TestPrewarm_closed(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the broken worker is a shell script")
	}
	ex := newExecutor(t, executor.Options{Workers: 2, WorkerPath: script(t, "silent"), StartMethod: "fresh"})
	ended := make(chan error, 1)
	go func() { ended <- ex.Prewarm(t.Context(), 2) }()
	eventually(t, ex, func(s executor.Stats) bool { return s.Workers == 2 })
	require.NoError(t, ex.Close())
	require.ErrorIs(t, <-ended, executor.ErrShutdown)
}

// TestEnv looks at the environment of a worker through the shell that starts it.
func TestEnv(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the worker is started by a shell script")
	}
	dir := t.TempDir()
	path, seen := filepath.Join(dir, "worker"), filepath.Join(dir, "seen")
	worker := guesttest.Worker(t)
	text := "#!/bin/sh\necho \"$FIRST,$SECOND,$GOMAXPROCS\" > \"$SEEN\"\nexec " + strconv.Quote(worker) + " \"$@\"\n"
	require.NoError(t, os.WriteFile(path, []byte(text), 0o700))
	for threads, want := range map[int]string{0: "2", 3: "3"} {
		ex := newExecutor(t, executor.Options{
			Workers: 1, WorkerPath: path, GOMAXPROCS: threads, Env: []string{"FIRST=a=b", "SECOND=", "SEEN=" + seen},
		})
		_, err := call(t, ex, echoFunc(t), nil)
		require.NoError(t, err)
		b, err := os.ReadFile(seen)
		require.NoError(t, err)
		require.Equal(t, "a=b,,"+want+"\n", string(b))
	}
}

func TestOptions_wrong(t *testing.T) {
	t.Parallel()
	for option, list := range map[string][]executor.Options{
		"Options.Workers":           {{Workers: -1}, {Workers: 2001}},
		"Options.MinWorkers":        {{MinWorkers: -1}, {Workers: 2, MinWorkers: 3}},
		"Options.Standby":           {{Standby: -1}, {Standby: 2001}},
		"Options.MaxPending":        {{MaxPending: -1}},
		"Options.TenantPending":     {{TenantPending: -1}},
		"Options.TenantWorkers":     {{TenantWorkers: -1}},
		"Options.Batch":             {{Batch: 257}},
		"Options.GOMAXPROCS":        {{GOMAXPROCS: 1}, {GOMAXPROCS: -1}, {GOMAXPROCS: 65}},
		"Options.StartMethod":       {{StartMethod: "sideways"}, {StartMethod: "loky_int_main"}},
		"Options.GrowthCheck":       {{GrowthCheck: -1}},
		"Options.CrashPolicy":       {{CrashPolicy: 2}, {CrashPolicy: -1}},
		"Options.Replace":           {{Replace: 2}, {Replace: -1}},
		"Options.IsolateTenants":    {{IsolateTenants: 2}, {IsolateTenants: -2}},
		"Options.Name":              {{Name: "a b"}, {Name: "ä"}, {Name: "a/b"}, {Name: strings.Repeat("x", 33)}},
		"Options.Env":               {{Env: []string{"A=1", "B"}}, {Env: []string{"=1"}}, {Env: []string{"A=\x00"}}, {Env: []string{"GOMAXPROCS=4"}}, {Env: []string{"SANDPOOL_WORKER=1"}}},
		"Options.Initializer":       {{Initializer: executor.Initializer{Input: 1}}, {StartMethod: "loky_init_main"}},
		"Options.Initializer.Name":  {{Initializer: executor.Initializer{Name: "a b"}}},
		"Options.Initializer.Input": {{Initializer: executor.Initializer{Name: "a", Input: make([]byte, 1<<20+1)}}},
	} {
		for _, o := range list {
			_, err := executor.New(&o)
			var oe *executor.OptionError
			require.ErrorAs(t, err, &oe, "%s %+v", option, o)
			require.Equal(t, option, oe.Option)
			require.NotEmpty(t, oe.Reason)
		}
	}
	_, err := executor.New(&executor.Options{Initializer: executor.Initializer{Name: "a", Input: make(chan int)}})
	require.ErrorContains(t, err, "Options.Initializer.Input")
	_, err = executor.New(&executor.Options{Workers: -1, Name: "a b", Standby: -1})
	for _, option := range []string{"Options.Workers", "Options.Name", "Options.Standby"} {
		require.ErrorContains(t, err, option, "all that is wrong at once")
	}
}
