package executor_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

// A record is a log that tests can read while it is written.
type record struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

// count returns how many times the log has the text.
func (r *record) count(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.buf.String(), text)
}

func (r *record) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

// setupOf is what the fixture's initializers have left.
type setupOf struct {
	Value string
	Count int
}

// setupValue shows it.
func setupValue(t *testing.T) executor.Func[struct{}, setupOf] {
	t.Helper()
	return executor.Func[struct{}, setupOf]{Module: fixture(t), Name: "setupvalue", Grants: executor.Grants{Host: []string{"host"}}}
}

// begins makes an initializer of a tiny guest's function.
func begins(name string) executor.Initializer {
	return executor.Initializer{Name: name, Input: []byte("init")}
}

func granted(fn raw) raw {
	fn.Grants.Host = []string{"host"}
	return fn
}

// TestInitializer_once has the initializer run once, before the image is captured, and
// every call see what it did.
func TestInitializer_once(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	var guest record
	ex := snapshots(t, executor.Options{
		Workers: 2, GuestLog: guest.logger(), Initializer: executor.Initializer{Name: "setuplog", Input: "ready"},
		Host: host(t, func(ctx context.Context, in []byte) ([]byte, error) {
			_, limited := ctx.Deadline()
			if string(in) != "ready" || limited || ctx.Err() != nil {
				t.Errorf("%q, %v", in, ctx)
			}
			calls.Add(1)
			return in, nil
		}),
	})
	for range 10 {
		f := executor.Submit(t.Context(), ex, setupValue(t), struct{}{})
		out, err := wait(t, f)
		require.NoError(t, err)
		require.Equal(t, setupOf{"ready", 1}, out)
		require.Equal(t, startmethod.Snapshot, f.Usage().StartMethod, f.Usage().Fallback)
	}
	require.EqualValues(t, 1, calls.Load())
	require.Equal(t, 1, guest.count("setup ready"))
	require.Equal(t, 1, guest.count("printed ready"), "the last line is not a call's")
	captured(t, ex, 1)
}

// The host function's context ends with the capture, not with the call that waits.
func TestInitializer_hostContext(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	ex := snapshots(t, executor.Options{Workers: 1, Initializer: begins("host"), Host: host(t, func(ctx context.Context, in []byte) ([]byte, error) {
		if string(in) == "init" {
			context.AfterFunc(ctx, func() { ended <- context.Cause(ctx) })
		}
		return in, nil
	})})
	s, u := show(t, ex, granted(states(t, guesttest.CountGuest{})("count")))
	require.Equal(t, guesttest.Counts{Memory: 2, Global: 2}, s)
	require.Equal(t, startmethod.Snapshot, u.StartMethod, u.Fallback)
	select {
	case err := <-ended:
		require.ErrorContains(t, err, "the guest's call is over")
	case <-time.After(hang):
		t.Fatal("the context does not end")
	}
}

// An initializer that fails has its calls fail as they do without images.
func TestInitializer_snapshotFails(t *testing.T) {
	t.Parallel()
	fn := states(t, guesttest.CountGuest{})("count")
	for name, tc := range map[string]struct {
		init string
		code executor.Code
	}{
		"error": {"fail", executor.CodeError},
		"panic": {"panic", executor.CodePanic},
		"trap":  {"trap", executor.CodeTrap},
		"exit":  {"exit", executor.CodeExit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log record
			ex := snapshots(t, executor.Options{Workers: 1, Initializer: begins(tc.init), Logger: log.logger()})
			for range 3 {
				f := executor.Submit(t.Context(), ex, fn, nil)
				_, err := wait(t, f)
				var se *executor.StartError
				require.ErrorAs(t, err, &se)
				require.Equal(t, "initializer", se.Stage)
				var ge *executor.GuestError
				require.ErrorAs(t, err, &ge)
				require.Equal(t, tc.init, ge.Func)
				require.Equal(t, tc.code, ge.Code)
				require.Equal(t, startmethod.Precompiled, f.Usage().StartMethod)
				require.Contains(t, f.Usage().Fallback, "capturing its image failed")
			}
			captured(t, ex, 0)
			tried := func(n int) {
				require.Eventually(t, func() bool { return log.count("could be captured") >= n }, hang, time.Millisecond)
				require.Equal(t, n, log.count("could be captured"), "not before the pause is over")
			}
			tried(1)
			executor.RetryCapturesNow(ex)
			_, err := call(t, ex, fn, nil)
			require.Error(t, err)
			tried(2)
		})
	}
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		ex := snapshots(t, executor.Options{Workers: 1, Initializer: begins("nosuch")})
		_, err := call(t, ex, fn, nil)
		var se *executor.StartError
		require.ErrorAs(t, err, &se)
		require.ErrorContains(t, err, "nosuch")
	})
	t.Run("loop", func(t *testing.T) {
		t.Parallel()
		ex := snapshots(t, executor.Options{Workers: 1, Initializer: begins("loop")})
		executor.SetCaptureTime(ex, 300*time.Millisecond)
		fn := fn
		fn.Limits.Wall = 300 * time.Millisecond
		f := executor.Submit(t.Context(), ex, fn, nil)
		_, err := wait(t, f)
		require.ErrorIs(t, err, &executor.LimitError{Limit: "wall"})
		require.Equal(t, "capturing its image takes more than 300ms", f.Usage().Fallback)
	})
}

// A capture's host function submits a call that wants the same image.
func TestCapture_nestedSame(t *testing.T) {
	t.Parallel()
	fn := granted(states(t, guesttest.CountGuest{})("count"))
	for name, workers := range map[string]int{"one worker": 1, "two": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ex *executor.Executor
			var inner atomic.Pointer[executor.Usage]
			var calls atomic.Int32
			ex = snapshots(t, executor.Options{Workers: workers, Initializer: begins("host"), Host: host(t, func(ctx context.Context, in []byte) ([]byte, error) {
				if calls.Add(1) > 1 {
					return in, nil
				}
				f := executor.Submit(ctx, ex, fn, nil)
				out, err := f.Wait(ctx)
				u := f.Usage()
				inner.Store(&u)
				return out, err
			})})
			clean2 := func() {
				s, u := show(t, ex, fn)
				require.Equal(t, guesttest.Counts{Memory: 2, Global: 2}, s)
				require.Equal(t, startmethod.Snapshot, u.StartMethod, u.Fallback)
			}
			clean2()
			require.Equal(t, startmethod.Precompiled, inner.Load().StartMethod)
			require.Contains(t, inner.Load().Fallback, "nested less deeply")
			clean2()
			captured(t, ex, 1)
		})
	}
}

// Captures whose host functions submit calls that want an image of another module, in
// a chain and in a circle, while one process may compile or capture at a time.
func TestCapture_nestedOthers(t *testing.T) {
	t.Parallel()
	const modules = 4
	for name, submitted := range map[string]int{"chain": 1, "circle": modules} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var fns [modules]raw
			for i := range fns {
				fns[i] = granted(states(t, guesttest.CountGuest{Salt: strings.Repeat("x", i)})("count"))
			}
			var ex *executor.Executor
			var log record
			var turn atomic.Int32 // each capture's function calls the next module
			ex = snapshots(t, executor.Options{
				Workers: 1, CacheDir: executor.NoCacheDir, Logger: log.logger(), Initializer: begins("host"),
				Host: host(t, func(ctx context.Context, _ []byte) ([]byte, error) {
					return executor.Submit(ctx, ex, fns[turn.Add(1)%modules], nil).Wait(ctx)
				}),
			})
			executor.SetCaptureTime(ex, hang)
			var fs []*executor.Future[[]byte]
			for _, fn := range fns[:submitted] {
				fs = append(fs, executor.Submit(t.Context(), ex, fn, nil))
			}
			for _, f := range fs {
				_, err := wait(t, f)
				require.NoError(t, err)
			}
			captured(t, ex, modules)
			require.Zero(t, log.count("takes more than"), "nobody had to be killed for it to go on")
		})
	}
}

// A host function that has every capture want one more comes to an end.
func TestCapture_depth(t *testing.T) {
	t.Parallel()
	fn := granted(states(t, guesttest.CountGuest{})("count"))
	var ex *executor.Executor
	var seed atomic.Uint64
	ex = snapshots(t, executor.Options{Workers: 1, MaxDepth: 4, Initializer: begins("host"), Host: host(t, func(ctx context.Context, _ []byte) ([]byte, error) {
		fn := fn
		fn.Grants.Seed = seed.Add(1)
		return executor.Submit(ctx, ex, fn, nil).Wait(ctx)
	})})
	s, _ := show(t, ex, fn)
	require.Equal(t, guesttest.Counts{Memory: 2, Global: 2}, s)
	require.LessOrEqual(t, seed.Load(), uint64(100))
}

func TestCapture_hostPanics(t *testing.T) {
	t.Parallel()
	ex := snapshots(t, executor.Options{Workers: 1, Initializer: begins("host"), Host: host(t, func(context.Context, []byte) ([]byte, error) { panic("at the disco") })})
	s, u := show(t, ex, granted(states(t, guesttest.CountGuest{})("count")))
	require.Equal(t, guesttest.Counts{Memory: 2, Global: 2}, s, "it is an error to the guest")
	require.Equal(t, startmethod.Snapshot, u.StartMethod, u.Fallback)
}

// held returns an executor whose capture waits in a host function until the gate lets
// it by, and a call that waits for the image.
func held(t *testing.T, o executor.Options) (*executor.Executor, *gate, *executor.Future[[]byte]) {
	t.Helper()
	g := newGate()
	o.Host, o.Initializer = host(t, g.call), begins("host")
	ex := snapshots(t, o)
	f := executor.Submit(t.Context(), ex, granted(states(t, guesttest.CountGuest{})("count")), nil)
	g.entered(t, 1)
	require.Equal(t, 1, executor.Capturing(ex))
	return ex, g, f
}

func TestCapture_close(t *testing.T) {
	t.Parallel()
	ex, _, f := held(t, executor.Options{Workers: 1})
	require.NoError(t, ex.Close())
	_, err := wait(t, f)
	require.ErrorIs(t, err, executor.ErrShutdown)
	require.Zero(t, executor.Capturing(ex))
}

// A capture whose guest does not return ends with the executor.
func TestCapture_closeWhileLooping(t *testing.T) {
	t.Parallel()
	ex := snapshots(t, executor.Options{Workers: 1, Initializer: begins("loop")})
	fn := states(t, guesttest.CountGuest{})("count")
	f := executor.Submit(t.Context(), ex, fn, nil)
	require.Eventually(t, func() bool { return executor.Capturing(ex) == 1 }, hang, time.Millisecond)
	require.NoError(t, ex.Close())
	_, err := wait(t, f)
	require.ErrorIs(t, err, executor.ErrShutdown)
	require.Zero(t, executor.Capturing(ex))
}

func TestCapture_shutdown(t *testing.T) {
	t.Parallel()
	ex, g, f := held(t, executor.Options{Workers: 1})
	done := make(chan error, 1)
	go func() { done <- ex.Shutdown(t.Context()) }()
	g.open(t, 1)
	_, err := wait(t, f)
	require.NoError(t, err)
	require.NoError(t, <-done)
}

// A capture that nobody waits for any more does not keep Shutdown.
func TestCapture_shutdownAlone(t *testing.T) {
	t.Parallel()
	ex, _, f := held(t, executor.Options{Workers: 1})
	f.Cancel()
	require.NoError(t, ex.Shutdown(t.Context()))
	require.Zero(t, executor.Capturing(ex))
}

func TestCapture_cancelled(t *testing.T) {
	t.Parallel()
	ex, g, f := held(t, executor.Options{Workers: 1})
	fn := granted(states(t, guesttest.CountGuest{})("count"))
	ctx, cancel := context.WithCancelCause(t.Context())
	other := executor.Submit(ctx, ex, fn, nil)
	require.Equal(t, 2, executor.Waiting(ex, fn.Module))
	cancel(context.Canceled)
	_, err := wait(t, other)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, executor.Waiting(ex, fn.Module))
	g.open(t, 1)
	_, err = wait(t, f)
	require.NoError(t, err)
	captured(t, ex, 1)
}

// captureProcess finds the process of an executor that captures an image.
func captureProcess(t *testing.T, name string) int {
	t.Helper()
	pid := 0
	require.Eventually(t, func() bool {
		lists, err := filepath.Glob("/proc/[0-9]*/cmdline")
		require.NoError(t, err)
		for _, list := range lists {
			if b, _ := os.ReadFile(list); strings.TrimRight(string(b), "\x00") == "sandpool-"+name+"-capture" {
				pid, err = strconv.Atoi(filepath.Base(filepath.Dir(list)))
				require.NoError(t, err)
			}
		}
		return pid > 0
	}, hang, time.Millisecond)
	return pid
}

func TestCapture_killed(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		t.Skip("no /proc")
	}
	const name = "capture-killed"
	ex, g, f := held(t, executor.Options{Workers: 1, Name: name})
	require.NoError(t, kill(captureProcess(t, name)))
	close(g.pass)
	_, err := wait(t, f)
	require.NoError(t, err)
	require.Equal(t, startmethod.Precompiled, f.Usage().StartMethod)
	require.Contains(t, f.Usage().Fallback, "SIGKILL")
	fn := granted(states(t, guesttest.CountGuest{})("count"))
	require.Eventually(t, func() bool {
		s, u := show(t, ex, fn)
		require.Equal(t, guesttest.Counts{Memory: 2, Global: 2}, s)
		return u.StartMethod == startmethod.Snapshot
	}, hang, 5*time.Millisecond, "it is tried again soon")
	require.Zero(t, ex.Stats().WorkersDied)
}

// A log handler that panics is contained, and one that ends its goroutine breaks the
// executor, as it does in a call.
func TestCapture_handler(t *testing.T) {
	t.Parallel()
	fn := states(t, guesttest.CountGuest{})("count")
	options := func(end func()) executor.Options {
		return executor.Options{Workers: 1, Initializer: begins("log"), GuestLog: slog.New(handlerFunc(end))}
	}
	s, _ := show(t, snapshots(t, options(func() { panic("at the disco") })), fn)
	require.Equal(t, guesttest.Counts{Memory: 2, Global: 2}, s)
	ex := snapshots(t, options(runtime.Goexit))
	_, err := call(t, ex, fn, nil)
	require.ErrorIs(t, err, executor.ErrBroken)
	require.Zero(t, executor.Capturing(ex))
}

// A handlerFunc is called with each record.
type handlerFunc func()

// Handle implements slog.Handler.
func (h handlerFunc) Handle(context.Context, slog.Record) error {
	h()
	return nil
}

func (handlerFunc) Enabled(context.Context, slog.Level) bool { return true }

func (h handlerFunc) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h handlerFunc) WithGroup(string) slog.Handler { return h }
