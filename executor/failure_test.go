package executor_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
)

func TestWorkerKilled(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no signals on Windows")
	}
	ex, hold := newHolder(t, executor.Options{Workers: 2})
	echo := echoFunc(t)
	bystander := executor.Submit(t.Context(), ex, hold.fn, nil)
	hold.begun(t)
	f := executor.Submit(t.Context(), ex, hold.fn, nil)
	hold.begun(t)
	pid := running(t, f)
	queued := executor.Submit(t.Context(), ex, echo, []byte("queued"))

	require.NoError(t, kill(pid))
	_, err := wait(t, f)
	var we *executor.WorkerError
	require.ErrorAs(t, err, &we)
	require.Equal(t, "SIGKILL", we.Signal)
	require.Equal(t, -1, we.ExitCode)
	require.Equal(t, pid, we.PID)
	require.ErrorContains(t, err, "SIGKILL")

	out, err := wait(t, queued)
	require.NoError(t, err, "queued calls go on in another worker")
	require.Equal(t, "queued", string(out))
	require.NotEqual(t, pid, queued.Usage().PID)
	require.Equal(t, executor.Running, bystander.State())
	require.EqualValues(t, 1, ex.Stats().WorkersDied)
	processGone(t, pid)
}

func TestWorkerKilled_idle(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no signals on Windows")
	}
	ex, echo := newExecutor(t, executor.Options{Workers: 1}), echoFunc(t)
	for range 10 {
		f := executor.Submit(t.Context(), ex, echo, []byte("x"))
		_, err := wait(t, f)
		require.NoError(t, err)
		require.NoError(t, kill(f.Usage().PID))
		processGone(t, f.Usage().PID)
		_, err = call(t, ex, echo, []byte("y"))
		require.NoError(t, err, "the death of an idle worker is nobody's error")
	}
}

func TestWall(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Interrupt: executor.KillOnly, Workers: 1})
	spin := spinFunc(t)
	spin.Limits.Wall = 50 * time.Millisecond
	f := executor.Submit(t.Context(), ex, spin, nil)
	_, err := wait(t, f)
	var le *executor.LimitError
	require.ErrorAs(t, err, &le)
	require.Equal(t, "wall", le.Limit)
	require.EqualValues(t, 50*time.Millisecond, le.Max)
	require.GreaterOrEqual(t, le.Used, le.Max)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	processGone(t, f.Usage().PID)
	out, err := call(t, ex, echoFunc(t), []byte("next"))
	require.NoError(t, err)
	require.Equal(t, "next", string(out))
}

func TestWall_sleep(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, Limits: executor.Limits{Wall: time.Minute}})
	sleep := executor.Func[int, struct{}]{Module: fixture(t), Name: "sleep"}
	_, err := call(t, ex, sleep, 1)
	require.NoError(t, err)
	sleep.Limits.Wall = 100 * time.Millisecond
	_, err = call(t, ex, sleep, 3_600_000)
	require.ErrorIs(t, err, &executor.LimitError{Limit: "wall"})
}

func TestContext_running(t *testing.T) {
	t.Parallel()
	ex, hold := newHolder(t, executor.Options{Interrupt: executor.KillOnly, Workers: 1})
	reason := errors.New("nobody wants it any more")
	// end waits for the end of a call that is in its guest.
	end := func(f *executor.Future[[]byte]) {
		pid := f.Usage().PID
		_, err := wait(t, f)
		require.ErrorIs(t, err, reason)
		processGone(t, pid)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	f := executor.Submit(ctx, ex, hold.fn, nil)
	hold.begun(t)
	cancel(reason)
	end(f)

	for timeout := 250 * time.Millisecond; ; timeout *= 2 {
		ctx, cancel := context.WithTimeoutCause(t.Context(), timeout, reason)
		t.Cleanup(cancel)
		f := executor.Submit(ctx, ex, hold.fn, nil)
		select {
		case <-hold.lines:
		case <-f.Done():
			require.Less(t, timeout, hang, "no call begins before its deadline")
			continue
		}
		end(f)
		break
	}
	_, err := call(t, ex, echoFunc(t), nil)
	require.NoError(t, err)
}

func TestContext_queued(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 1}), echoFunc(t)
	holder := executor.Submit(t.Context(), ex, spinFunc(t), nil)
	running(t, holder)
	ctx, cancel := context.WithCancel(t.Context())
	f := executor.Submit(ctx, ex, echo, nil)
	require.Equal(t, executor.Queued, f.State())
	require.NoError(t, f.Err())
	cancel()
	_, err := wait(t, f)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, executor.Running, holder.State(), "the worker was not touched")

	f = executor.Submit(ctx, ex, echo, nil)
	require.ErrorIs(t, f.Err(), context.Canceled, "a context that has ended queues nothing")
	f = executor.Submit(t.Context(), ex, echo, nil)
	require.Equal(t, executor.Queued, f.Cancel())
	require.Equal(t, executor.Done, f.Cancel())
	_, err = wait(t, f)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, executor.Running, holder.Cancel())
	_, err = wait(t, holder)
	require.ErrorIs(t, err, context.Canceled)
}

func TestContext_waitOnly(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	f := executor.Submit(t.Context(), ex, spinFunc(t), nil)
	running(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Wait(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, executor.Running, f.State(), "the call goes on")
}

func TestLimits(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, Limits: executor.Limits{Memory: 64 << 20, Output: 1 << 20, Input: 1 << 20, Log: 64 << 10, Stdout: 64 << 10}})
	m := fixture(t)
	type none = struct{}
	check := func(err error, limit string, most int64) {
		t.Helper()
		var le *executor.LimitError
		require.ErrorAs(t, err, &le)
		require.Equal(t, limit, le.Limit)
		require.Equal(t, most, le.Max)
		require.Greater(t, le.Used, le.Max)
	}
	_, err := call(t, ex, executor.Func[none, none]{Module: m, Name: "grow"}, none{})
	check(err, "memory", 64<<20)
	_, err = call(t, ex, executor.Func[int, int]{Module: m, Name: "alloc"}, 16)
	require.NoError(t, err)
	alloc := executor.Func[int, int]{Module: m, Name: "alloc", Limits: executor.Limits{Memory: 16 << 20}}
	_, err = call(t, ex, alloc, 16)
	check(err, "memory", 16<<20)

	_, err = call(t, ex, raw{Module: tiny(t, "o", guesttest.TinyOutputFlood()), Name: "outputflood"}, nil)
	check(err, "output", 1<<20)
	_, err = call(t, ex, raw{Module: tiny(t, "l", guesttest.TinyLogFlood()), Name: "logflood"}, nil)
	check(err, "log", 64<<10)
	_, err = call(t, ex, executor.Func[int, none]{Module: m, Name: "flood"}, 1<<20)
	check(err, "stdout", 64<<10)
	_, err = call(t, ex, echoFunc(t), make([]byte, 1<<20+1))
	check(err, "input", 1<<20)
	_, err = call(t, ex, raw{Module: tiny(t, "m", guesttest.TinyMemory(1025)), Name: "memory"}, nil)
	check(err, "memory", 64<<20)

	out, err := call(t, ex, echoFunc(t), make([]byte, 1<<20))
	require.NoError(t, err, "a limit is what is allowed")
	require.Len(t, out, 1<<20)
	require.Zero(t, ex.Stats().WorkersDied, "no limit of these costs a worker")
}

// TestLimits_defaults moves what the defaults allow, and hits them.
func TestLimits_defaults(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("moves a gigabyte")
	}
	ex, echo := newExecutor(t, executor.Options{Workers: 1}), echoFunc(t)
	for _, mib := range []int{60, 128, 256} {
		in := make([]byte, mib<<20)
		in[len(in)-1] = 1
		out, err := call(t, ex, echo, in)
		require.NoError(t, err, "%d MiB", mib)
		require.True(t, bytes.Equal(in, out))
	}
	_, err := call(t, ex, echo, make([]byte, 600<<20))
	require.ErrorIs(t, err, &executor.LimitError{Limit: "output"})
	_, err = call(t, ex, raw{Module: tiny(t, "o", guesttest.TinyOutputFlood()), Name: "outputflood"}, nil)
	require.ErrorIs(t, err, &executor.LimitError{Limit: "output"})
	require.Zero(t, ex.Stats().WorkersDied)
}

// TestLimits_garbage runs guests that make the worker allocate without end.
func TestLimits_garbage(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, Limits: executor.Limits{Memory: 1 << 20, Input: 1 << 20, Output: 1 << 20, Log: -1}})
	g := guesttest.NewTiny()
	text := g.Text(strings.Repeat("\xffa", 8<<10))
	const n = 3 // the first local after the parameters
	body := new(guesttest.Code).Loop().
		I32(1).Append(text).Append(text).Call(g.Fail).
		Get(n).I32(1).Add().Tee(n).I32(50_000).LtU().BrIf(0).End().I32(1)
	_, err := call(t, ex, raw{Module: tiny(t, "f", g.Finish("failflood", [2]uint32{1, 1}, []guesttest.ValueType{guesttest.I32}, body)), Name: "failflood"}, nil)
	var ge *executor.GuestError
	require.ErrorAs(t, err, &ge, "1.6 GB of failure texts")
	require.True(t, utf8.ValidString(ge.Message+ge.Stack))
	require.LessOrEqual(t, len(ge.Message), 64<<10)
	require.Zero(t, ex.Stats().WorkersDied)
}

// TestLimits_droppedOutput runs a guest that writes nearly all it may, calls fail,
// which drops it, and begins again: 2 GB in all.
func TestLimits_droppedOutput(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, Limits: executor.Limits{Memory: 1 << 20, Input: 1 << 20, Output: 1 << 20}})
	g := guesttest.NewTiny()
	const n = 3 // the first local after the parameters
	body := new(guesttest.Code).Loop()
	for range 15 {
		body.I32(0).I32(64 << 10).Call(g.Write)
	}
	body.I32(1).I32(0).I32(0).I32(0).I32(0).Call(g.Fail).
		Get(n).I32(1).Add().Tee(n).I32(2000).LtU().BrIf(0).End().I32(1)
	_, err := call(t, ex, raw{Module: tiny(t, "d", g.Finish("drop", [2]uint32{1, 1}, []guesttest.ValueType{guesttest.I32}, body)), Name: "drop"}, nil)
	require.ErrorIs(t, err, &executor.GuestError{Code: executor.CodeError})
	require.Zero(t, ex.Stats().WorkersDied)
}

// TestLimits_refusedButAlive has memory refused to a guest that goes on and then
// traps for another reason.
func TestLimits_refusedButAlive(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, Limits: executor.Limits{Memory: 1 << 20}})
	g := guesttest.NewTiny()
	body := new(guesttest.Code).I32(1000).MemoryGrow().Drop().Append(g.Text("x")).Call(g.Write).Unreachable()
	_, err := call(t, ex, raw{Module: tiny(t, "r", g.Finish("f", [2]uint32{1, guesttest.NoMax}, nil, body)), Name: "f"}, nil)
	require.ErrorIs(t, err, &executor.GuestError{Code: executor.CodeTrap})
}

func TestLimits_grow(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, Limits: executor.Limits{Memory: 10<<16 + 100}})
	out, err := call(t, ex, raw{Module: tiny(t, "g", guesttest.TinyGrow()), Name: "grow"}, nil)
	require.NoError(t, err)
	require.Equal(t, []byte{9, 0, 0, 0}, out, "one page and nine more, then -1; the guest lives with it")
}

func TestStart_failures(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the broken workers are shell scripts")
	}
	for name, tc := range map[string]struct {
		path  func(t *testing.T) string
		stage string
		text  string
	}{
		"no program": {func(t *testing.T) string { t.Helper(); return filepath.Join(t.TempDir(), "none") }, "launch", "no such file"},
		"exits":      {func(t *testing.T) string { t.Helper(); return script(t, "exits") }, "handshake", "exited with code 7: no license for this worker"},
		"garbage":    {func(t *testing.T) string { t.Helper(); return script(t, "garbage") }, "handshake", "protocol version"},
		"version":    {func(t *testing.T) string { t.Helper(); return script(t, "version") }, "handshake", "protocol version 99, this program 1"},
		"engine":     {func(t *testing.T) string { t.Helper(); return script(t, "engine") }, "handshake", `engine "v0.0.1"`},
		"hugeready":  {func(t *testing.T) string { t.Helper(); return script(t, "hugeready") }, "handshake", "exceeds"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A module of its own, so that its code is in no cache and the template is
			// started too: through Fresh only workers are.
			ex := newExecutor(t, executor.Options{Workers: 2, WorkerPath: tc.path(t), StartMethod: "fresh"})
			_, err := call(t, ex, echoFunc(t), nil)
			var se *executor.StartError
			require.ErrorAs(t, err, &se)
			require.Equal(t, tc.stage, se.Stage)
			require.ErrorContains(t, err, tc.text)
			require.NotContains(t, err.Error(), "\n")
			_, err = call(t, ex, raw{Module: uniqueEcho(t, name), Name: "echo", StartMethod: "precompiled"}, nil)
			require.ErrorAs(t, err, &se, "nor does a module get compiled")
		})
	}
}

// uniqueEcho is an echo module that no other test has.
func uniqueEcho(t *testing.T, name string) *serialize.Module {
	t.Helper()
	name += strconv.FormatInt(time.Now().UnixNano(), 36)
	wasm := append(guesttest.TinyEcho(), guesttest.Section(0, append([]byte{byte(len(name))}, name...))...)
	return tiny(t, name, wasm)
}

// TestCompileBomb hands the compiler a function of many locals and branches, which
// takes it gigabytes.
func TestCompileBomb(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("lets a compiler fill a gigabyte")
	}
	ex := newExecutor(t, executor.Options{Workers: 2, CacheDir: executor.NoCacheDir})
	const locals, branches = 2000, 50_000
	g := guesttest.NewTiny()
	var types []guesttest.ValueType
	for range locals {
		types = append(types, guesttest.I32)
	}
	body := new(guesttest.Code)
	for i := range uint32(branches) {
		body.Get(i % locals).If().I32(1).Set((i*7)%locals + 3).Else().I32(2).Set((i*13)%locals + 3).End()
	}
	bomb := raw{Module: tiny(t, "bomb", g.Finish("bomb", [2]uint32{1, 1}, types, body.I32(0))), Name: "bomb"}
	f := executor.Submit(t.Context(), ex, bomb, nil)
	out, err := call(t, ex, echoFunc(t), []byte("meanwhile"))
	require.NoError(t, err, "another module's calls go on")
	require.Equal(t, "meanwhile", string(out))
	_, err = wait(t, f)
	require.ErrorIs(t, err, &serialize.ModuleError{Kind: serialize.Limit})
	_, again := call(t, ex, bomb, nil)
	require.Equal(t, err, again, "refused for a while without compiling")
	require.NotSame(t, err, again)
}

func TestStart_closeWhileSilent(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the broken worker is a shell script")
	}
	ex := newExecutor(t, executor.Options{Workers: 2, WorkerPath: script(t, "silent"), StartMethod: "fresh"})
	f := executor.Submit(t.Context(), ex, echoFunc(t), nil)
	require.Eventually(t, func() bool { return ex.Stats().Workers > 0 }, hang, time.Millisecond)
	require.NoError(t, ex.Close())
	require.ErrorIs(t, f.Err(), executor.ErrShutdown)
}

func TestHostileWorker(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the hostile workers are shell scripts")
	}
	for role, text := range map[string]string{
		"wrongcall":  "answers call 2, it was given 1",
		"oversize":   "RESULT frame of 2097152 bytes exceeds 1048576",
		"badfailure": "decode",
		"badlimit":   `unknown limit "patience\x1b[31m"`,
		"hostcall":   "host function 77, which does not exist",
		"logflood":   "beyond the limit",
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			ex := newExecutor(t, executor.Options{Workers: 1, WorkerPath: script(t, role), StartMethod: "fresh", Limits: executor.Limits{Output: 1 << 20}})
			f := executor.Submit(t.Context(), ex, echoFunc(t), nil)
			_, err := wait(t, f)
			var we *executor.WorkerError
			require.ErrorAs(t, err, &we)
			require.ErrorContains(t, err, text)
			processGone(t, f.Usage().PID)
		})
	}
	t.Run("deaf", func(t *testing.T) {
		t.Parallel()
		ex := newExecutor(t, executor.Options{Workers: 1, WorkerPath: script(t, "deaf"), StartMethod: "fresh"})
		f := executor.Submit(t.Context(), ex, echoFunc(t), make([]byte, 1<<20))
		_, err := wait(t, f)
		var we *executor.WorkerError
		require.ErrorAs(t, err, &we, "a call that ends its workers before they begin it is given to two")
		require.EqualValues(t, 2, ex.Stats().WorkersStarted)
	})
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		ex := newExecutor(t, executor.Options{Workers: 1, WorkerPath: script(t, "twice"), StartMethod: "fresh"})
		_, err := call(t, ex, echoFunc(t), nil)
		require.NoError(t, err)
		_, err = call(t, ex, echoFunc(t), nil)
		require.ErrorContains(t, err, "answers call 1, it was given 2", "the second answer to the first call is nobody's")
	})
}

func TestNew_options(t *testing.T) {
	t.Parallel()
	_, err := executor.New(&executor.Options{Workers: -1, StartMethod: "sideways"})
	require.ErrorContains(t, err, "Options.Workers")
	require.ErrorContains(t, err, "Options.StartMethod")
	var oe *executor.OptionError
	require.ErrorAs(t, err, &oe)
	_, err = executor.New(&executor.Options{Workers: 2001})
	require.ErrorAs(t, err, &oe)
	ex, err := executor.New(nil)
	require.NoError(t, err)
	require.NoError(t, ex.Close())
}

func TestCacheDir(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cache")
	m := uniqueEcho(t, "cached")
	run := func(dir string) executor.Stats {
		ex := newExecutor(t, executor.Options{Workers: 1, CacheDir: dir})
		out, err := call(t, ex, raw{Module: m, Name: "echo"}, []byte("x"))
		require.NoError(t, err)
		require.Equal(t, "x", string(out))
		require.NoError(t, ex.Close())
		return ex.Stats()
	}
	s := run(dir)
	require.EqualValues(t, 1, s.Compiled)
	require.Zero(t, s.CacheHits)
	s = run(dir)
	require.Zero(t, s.Compiled)
	require.EqualValues(t, 1, s.CacheHits)

	entries, err := filepath.Glob(filepath.Join(dir, "*.entry"))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	b, err := os.ReadFile(entries[0])
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(entries[0], b, 0o600))
	s = run(dir)
	require.EqualValues(t, 1, s.Compiled, "a tampered entry is not used and made anew")
	require.EqualValues(t, 1, run(dir).CacheHits)
	require.EqualValues(t, 1, run(executor.NoCacheDir).Compiled)
	// A directory that cannot be one is done without.
	require.EqualValues(t, 1, run(filepath.Join(entries[0], "below")).Compiled)
}
