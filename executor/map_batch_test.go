package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

// mixedFunc is a guest that does what each input says; see guesttest.TinyMixed.
func mixedFunc(t *testing.T) raw {
	t.Helper()
	return raw{Module: tiny(t, "mixed", guesttest.TinyMixed("host")), Name: "mixed", Grants: executor.Grants{Host: []string{"host"}}}
}

// warmUp makes a function known as short, so that many inputs travel together.
func warmUp(t *testing.T, ex *executor.Executor, fn raw) {
	t.Helper()
	_, err := call(t, ex, fn, []byte("warm"))
	require.NoError(t, err)
	executor.SetPace(ex, fn.Module, fn.Name, time.Microsecond) // however slow the machine is
}

// until is a host function that echoes once a channel is closed.
func until(leave *chan struct{}) hostFunction {
	return func(ctx context.Context, in []byte) ([]byte, error) {
		select {
		case <-*leave:
		case <-ctx.Done():
		}
		return in, ctx.Err()
	}
}

// marked yields n inputs that are echoed, but for those that special names by index.
func marked(n int, special map[int]string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range n {
			in := fmt.Sprintf("echo %d", i)
			if s, ok := special[i]; ok {
				in = s
			}
			if !yield([]byte(in)) {
				return
			}
		}
	}
}

// Map's inputs travel together, and what is done to one of them in the midst is done to
// it alone.
func TestMap_together(t *testing.T) {
	t.Parallel()
	const n = 1000
	guestFails := func(t *testing.T, err error) {
		t.Helper()
		require.ErrorIs(t, err, &executor.GuestError{Code: executor.CodeError})
	}
	for name, tc := range map[string]struct {
		special map[int]string
		check   func(t *testing.T, err error)
		set     func(fn *raw)
	}{
		"nothing": {},
		"traps": {map[int]string{100: "t", 101: "t", 500: "t", 999: "t"}, func(t *testing.T, err error) {
			t.Helper()
			require.ErrorIs(t, err, &executor.GuestError{Code: executor.CodeTrap})
		}, nil},
		"fails":  {map[int]string{0: "f", 1: "f", 63: "f", 64: "f", 700: "f"}, guestFails, nil},
		"logs":   {map[int]string{130: "l", 131: "l", 650: "l"}, nil, nil},
		"host":   {map[int]string{40: "h 40", 400: "h 400", 401: "h 401"}, nil, nil},
		"larger": {map[int]string{77: "b", 300: "b", 301: "b"}, nil, nil},
		"large inputs": {map[int]string{
			200: strings.Repeat("x", 4095), 300: strings.Repeat("x", 4096), 301: strings.Repeat("x", 20_000), 302: strings.Repeat("x", 4090),
		}, nil, nil},
		"hangs": {map[int]string{333: "s", 600: "s"}, func(t *testing.T, err error) {
			t.Helper()
			require.ErrorIs(t, err, &executor.LimitError{Limit: guestabi.LimitWall})
		}, func(fn *raw) { fn.Limits.Wall = 60 * time.Millisecond }},
	} {
		for _, method := range []startmethod.Method{startmethod.Snapshot, startmethod.Warm, startmethod.Precompiled} {
			t.Run(name+" "+string(method), func(t *testing.T) {
				t.Parallel()
				ex := newExecutor(t, executor.Options{
					Workers: 2, StartMethod: method, Logger: slog.New(slog.DiscardHandler),
					Host: host(t, func(_ context.Context, in []byte) ([]byte, error) { return in, nil }),
				})
				fn := mixedFunc(t)
				if tc.set != nil {
					tc.set(&fn)
				}
				warmUp(t, ex, fn)
				before := ex.Stats()
				i, failed := 0, 0
				for out, err := range executor.Map(t.Context(), ex, fn, marked(n, tc.special)) {
					in, special := tc.special[i]
					switch {
					case special && tc.check != nil:
						tc.check(t, err)
						failed++
					case in == "b":
						require.NoError(t, err)
						require.Len(t, out, 8<<10)
					case special:
						require.NoError(t, err)
						require.Equal(t, in, string(out))
					default:
						require.NoError(t, err)
						require.Equal(t, fmt.Sprintf("echo %d", i), string(out))
					}
					i++
				}
				require.Equal(t, n, i)
				s := ex.Stats()
				require.EqualValues(t, n, s.Submitted-before.Submitted)
				require.EqualValues(t, n-failed, s.Succeeded-before.Succeeded)
				require.EqualValues(t, failed, s.Failed-before.Failed)
				require.Zero(t, s.Queued+s.Running)
				require.Zero(t, s.WorkersDied)
			})
		}
	}
}

// TestMap_travels is that they do travel together.
func TestMap_travels(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	echo := echoFunc(t)
	warmUp(t, ex, echo)
	n, most := 0, 0
	for _, err := range executor.Map(t.Context(), ex, echo, marked(20_000, nil)) {
		require.NoError(t, err)
		if n++; n%20 == 0 {
			most = max(most, executor.Together(ex))
		}
	}
	require.Equal(t, 20_000, n)
	require.Greater(t, most, 8)
}

// TestMap_workerDies kills the worker while it has many inputs: one of them fails, and the
// others have their results.
func TestMap_workerDies(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no signals on Windows")
	}
	for _, idempotent := range []bool{false, true} {
		t.Run(fmt.Sprint("idempotent ", idempotent), func(t *testing.T) {
			t.Parallel()
			var ex *executor.Executor
			ex = newExecutor(t, executor.Options{Workers: 1, Host: host(t, killsOwnWorker(t, &ex, 1))})
			fn := mixedFunc(t)
			fn.Idempotent = idempotent
			warmUp(t, ex, fn)
			i, lost := 0, 0
			for out, err := range executor.Map(t.Context(), ex, fn, marked(2000, map[int]string{900: "h"})) {
				switch {
				case err != nil:
					require.ErrorAs(t, err, new(*executor.WorkerError))
					require.Equal(t, 900, i, "the one that killed it")
					lost++
				case i != 900:
					require.Equal(t, fmt.Sprintf("echo %d", i), string(out))
				}
				i++
			}
			require.Equal(t, 2000, i)
			if idempotent {
				require.Zero(t, lost)
			} else {
				require.Equal(t, 1, lost)
			}
			require.EqualValues(t, 1, ex.Stats().WorkersDied)
		})
	}
}

// TestMap_killed kills workers from outside at any moment.
func TestMap_killed(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no signals on Windows")
	}
	ex := newExecutor(t, executor.Options{Workers: 2})
	echo := echoFunc(t)
	for _, idempotent := range []bool{true, false} {
		echo.Idempotent = idempotent
		warmUp(t, ex, echo)
		i, lost := 0, 0
		for out, err := range executor.Map(t.Context(), ex, echo, marked(30_000, nil)) {
			if err == nil {
				require.Equal(t, fmt.Sprintf("echo %d", i), string(out))
			} else {
				require.ErrorAs(t, err, new(*executor.WorkerError))
				lost++
			}
			if i++; i%7000 == 0 {
				f := executor.Submit(t.Context(), ex, echo, nil)
				_, _ = wait(t, f)
				_ = kill(f.Usage().PID)
			}
		}
		require.Equal(t, 30_000, i)
		if idempotent {
			require.Zero(t, lost)
		} else {
			require.LessOrEqual(t, lost, 4, "at most the one that each was running")
		}
	}
}

// TestMap_slowInTheMidst has one input take long: those behind it in the same worker are
// done meanwhile by the other one, and those in front are yielded.
func TestMap_slowInTheMidst(t *testing.T) {
	t.Parallel()
	leave := make(chan struct{})
	ex := newExecutor(t, executor.Options{Workers: 2, Host: host(t, until(&leave))})
	fn := mixedFunc(t)
	warmUp(t, ex, fn)
	seen := 0
	for i, r := range executor.MapUnordered(t.Context(), ex, fn, marked(300, map[int]string{20: "h"})) {
		require.NoError(t, r.Err)
		if seen++; seen == 299 {
			close(leave) // all others are done
		}
		require.Equal(t, seen == 300, i == 20)
	}
	require.Equal(t, 300, seen)

	leave = make(chan struct{})
	warmUp(t, ex, fn)
	i := 0
	for _, err := range executor.Map(t.Context(), ex, fn, marked(300, map[int]string{150: "h"})) {
		require.NoError(t, err)
		if i == 149 {
			close(leave)
		}
		i++
	}
	require.Equal(t, 300, i)
}

// TestMap_spinsInTheMidst is that for a guest that does not call the host: the worker has
// to give the others back.
func TestMap_spinsInTheMidst(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 2, Host: host(t, func(_ context.Context, in []byte) ([]byte, error) { return in, nil })})
	fn := mixedFunc(t)
	warmUp(t, ex, fn)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	enough := errors.New("enough")
	seen := 0
	for i, r := range executor.MapUnordered(ctx, ex, fn, marked(300, map[int]string{20: "s"})) {
		if seen++; seen < 300 {
			require.NoError(t, r.Err)
		} else {
			require.Equal(t, 20, i)
			require.ErrorIs(t, r.Err, enough)
		}
		if seen == 299 {
			cancel(enough)
		}
	}
	require.Equal(t, 300, seen)
}

// TestMap_leftInTheMidst leaves loops and ends contexts while inputs are queued, ahead and
// running.
func TestMap_leftInTheMidst(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 2, Logger: slog.New(slog.DiscardHandler)})
	echo := echoFunc(t)
	warmUp(t, ex, echo)
	enough := errors.New("enough")
	for round := range 60 {
		ctx, cancel := context.WithCancelCause(t.Context())
		n := 0
		for _, err := range executor.Map(ctx, ex, echo, marked(3000, nil)) {
			if err != nil {
				require.ErrorIs(t, err, enough)
			}
			if n++; n == round*7 {
				if round%2 == 0 {
					break
				}
				cancel(enough)
			}
		}
		cancel(nil)
		s := ex.Stats()
		require.Zero(t, s.Queued+s.Running, "nothing is left behind")
	}
	require.Zero(t, ex.Stats().WorkersDied)
}

// TestMap_callsPerWorker keeps to the bound exactly.
func TestMap_callsPerWorker(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 2, CallsPerWorker: 25})
	echo := echoFunc(t)
	for i := range 3 {
		warmUp(t, ex, echo)
		for _, err := range executor.Map(t.Context(), ex, echo, marked(500, nil)) {
			require.NoError(t, err)
		}
		s := ex.Stats()
		require.GreaterOrEqual(t, int(s.WorkersStarted), (i+1)*501/25, "%+v", s)
	}
}

// TestMap_slowIterator has an iterator that waits for the results of what it has yielded:
// inputs are not held back until there are many.
func TestMap_slowIterator(t *testing.T) {
	t.Parallel()
	got := make(chan string)
	var calls atomic.Int32
	ex := newExecutor(t, executor.Options{Workers: 1, Host: host(t, func(ctx context.Context, in []byte) ([]byte, error) {
		calls.Add(1)
		select {
		case got <- string(in):
		case <-ctx.Done():
		}
		return in, nil
	})})
	fn := mixedFunc(t)
	warmUp(t, ex, fn)
	inputs := func(yield func([]byte) bool) {
		for i := range 20 {
			in := fmt.Sprintf("h %d", i)
			if !yield([]byte(in)) {
				return
			}
			select {
			case s := <-got:
				assert.Equal(t, in, s)
			case <-time.After(hang):
				t.Error("the input has not reached the guest")
				return
			}
		}
	}
	for _, err := range executor.Map(t.Context(), ex, fn, inputs) {
		require.NoError(t, err)
	}
	require.EqualValues(t, 20, calls.Load())
}

// TestMap_typed maps values that a codec encodes, some of them in another one.
func TestMap_typed(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 2})
	double := executor.Func[int, int]{Module: fixture(t), Name: "index"}
	n := 0
	for out, err := range executor.Map(t.Context(), ex, double, func(yield func(int) bool) {
		for i := range 400 {
			if !yield(i % 3) {
				return
			}
		}
	}) {
		require.NoError(t, err)
		require.Equal(t, n%3+1, out)
		n++
	}
	require.Equal(t, 400, n)
}

// TestMap_pipe is that all of it works where workers share no memory with their host.
func TestMap_pipe(t *testing.T) {
	t.Setenv(executor.TransportEnv, "pipe")
	ex := newExecutor(t, executor.Options{Workers: 2, Host: host(t, func(_ context.Context, in []byte) ([]byte, error) { return in, nil })})
	fn := mixedFunc(t)
	warmUp(t, ex, fn)
	i := 0
	special := map[int]string{64: "t", 300: "b", 500: "h 500", 700: "f"}
	for out, err := range executor.Map(t.Context(), ex, fn, marked(1000, special)) {
		switch special[i] {
		case "t", "f":
			require.Error(t, err)
		case "b":
			require.Len(t, out, 8<<10)
		default:
			require.NoError(t, err)
			require.True(t, bytes.HasSuffix(out, fmt.Append(nil, i)))
		}
		i++
	}
	require.Equal(t, 1000, i)
}

// TestMap_hostileWorker has inputs travel together to workers that have been taken over:
// each comes to its end, and not to one that another call's answer could be.
func TestMap_hostileWorker(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the roles are shell scripts")
	}
	for _, role := range []string{"wrongcall", "twice", "oversize", "badfailure", "badlimit", "hostcall", "revokes", "answersahead"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			ex := newExecutor(t, executor.Options{
				Workers: 2, WorkerPath: script(t, role), CacheDir: executor.NoCacheDir, StartMethod: startmethod.Fresh,
				Limits: executor.Limits{Output: 1 << 20, Wall: 5 * time.Second}, Logger: slog.New(slog.DiscardHandler),
			})
			fn := raw{Module: newModule(t, "echo", guesttest.TinyEcho()), Name: "echo"}
			executor.SetPace(ex, fn.Module, fn.Name, time.Microsecond)
			n, lost := 0, 0
			for out, err := range executor.Map(t.Context(), ex, fn, marked(30, nil)) {
				n++
				if err != nil {
					require.ErrorAs(t, err, new(*executor.WorkerError))
					lost++
					continue
				}
				require.Empty(t, out, "what these workers answer")
			}
			require.Equal(t, 30, n)
			require.Positive(t, lost)
		})
	}
}

// TestMap_slowFront has the first input take long: no more than a window's worth is taken
// meanwhile, however many of these are done.
func TestMap_slowFront(t *testing.T) {
	t.Parallel()
	leave := make(chan struct{})
	ex := newExecutor(t, executor.Options{Workers: 2, Host: host(t, until(&leave))})
	fn := mixedFunc(t)
	warmUp(t, ex, fn)
	const window = 256 * 2
	before := ex.Stats().Succeeded
	var taken atomic.Int32
	go func() {
		defer close(leave)
		assert.Eventually(t, func() bool { return ex.Stats().Succeeded-before == window-1 }, hang, time.Millisecond)
		assert.EqualValues(t, window, taken.Load())
	}()
	n := 0
	for _, err := range executor.Map(t.Context(), ex, fn, func(yield func([]byte) bool) {
		for in := range marked(3000, map[int]string{0: "h"}) {
			taken.Add(1)
			if !yield(in) {
				return
			}
		}
	}) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 3000, n)
}
