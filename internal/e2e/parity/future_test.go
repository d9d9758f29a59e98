package parity_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/startmethod"
)

// futures are loky's in each state. The pending one waits for the running one, in an
// executor of one worker.
type futures struct {
	ex                     *executor.Executor
	g                      *gate
	ok, failed             *future
	cancelled, killed      *future // while it was queued; while it ran
	runs, pending, another *future
}

func newFutures(t *testing.T, method startmethod.Method) futures {
	t.Helper()
	x := newFixed(t, method)
	ex, h := newHolder(t, executor.Options{StartMethod: method, Workers: 1})
	killed := executor.Submit(t.Context(), ex, h.fn, nil)
	h.begun(t)
	cancelled := executor.Submit(t.Context(), ex, h.fn, nil)
	require.Equal(t, executor.Queued, cancelled.Cancel())
	require.Equal(t, executor.Running, killed.Cancel())

	one, g := newGate(t, executor.Options{StartMethod: method, Workers: 1})
	runs := executor.Submit(t.Context(), one, g.fn, []byte("runs"))
	require.Equal(t, "runs", g.begun(t))
	return futures{
		ex: one, g: g, ok: x.ok, failed: x.failed, cancelled: cancelled, killed: killed, runs: runs,
		pending: executor.Submit(t.Context(), one, g.fn, []byte("pending")),
		another: executor.Submit(t.Context(), one, g.fn, []byte("another")),
	}
}

// told returns what a callback of the future is called with, an error as its text.
func told(t *testing.T, f *future) string {
	t.Helper()
	got := make(chan *future, 1)
	f.OnDone(func(f *future) { got <- f })
	select {
	case f = <-got:
	case <-time.After(hang):
		t.Fatal("the callback is not called")
	}
	require.Equal(t, executor.Done, f.State())
	out, err := f.Wait(t.Context())
	if err != nil {
		return err.Error()
	}
	return string(out)
}

func TestF1_callback(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		g := newGates(t)
		h := newHold(t)
		for name, tc := range map[string]struct {
			fn    raw
			log   *slog.Logger
			begun func()
			end   func(f *future)
			want  string
		}{
			"result":    {g.fn, g.log, func() { g.begun(t) }, func(*future) { g.open() }, "input"},
			"exception": {h.fn, h.log, func() { h.begun(t) }, func(f *future) { require.NoError(t, kill(f.Usage().PID)) }, "worker process"},
			"cancel":    {h.fn, h.log, func() { h.begun(t) }, func(f *future) { f.Cancel() }, context.Canceled.Error()},
		} {
			ex := newExecutor(t, executor.Options{StartMethod: method, GuestLog: tc.log})
			f := executor.Submit(t.Context(), ex, tc.fn, []byte("input"))
			tc.begun()
			got := make(chan *future, 2) // a second call would show
			f.OnDone(func(f *future) { got <- f })
			require.Empty(t, got, "%s: before the call is done", name)
			tc.end(f)
			require.Contains(t, told(t, f), tc.want, name)
			require.Same(t, f, <-got, name)
			require.Empty(t, got, name)
		}
	})
}

func TestF2_callbackWhenDone(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		x := newFutures(t, method)
		require.Equal(t, "ok", told(t, x.ok))
		require.Contains(t, told(t, x.failed), "trap: unreachable")
		require.Equal(t, context.Canceled.Error(), told(t, x.cancelled))
		require.Equal(t, context.Canceled.Error(), told(t, x.killed))
	})
}

func TestF3_callbackPanics(t *testing.T) {
	t.Parallel()
	logged := newLines()
	ex := newExecutor(t, executor.Options{Logger: slog.New(logged)})
	f := executor.Submit(t.Context(), ex, echoFunc(t), []byte("x"))
	var (
		mu    sync.Mutex
		order []int
		all   sync.WaitGroup
	)
	for i := range 4 {
		all.Add(1)
		f.OnDone(func(*future) {
			defer all.Done()
			mu.Lock()
			order = append(order, i)
			mu.Unlock()
			if i%2 == 0 {
				panic("callback on purpose")
			}
		})
	}
	returns(t, "the last callback", all.Wait)
	require.Equal(t, []int{0, 1, 2, 3}, order, "in order, also after one that panicked")
	for panics := 0; panics < 2; {
		if logged.next(t) == "callback panicked" {
			panics++
		}
	}
	out, err := wait(t, f)
	require.NoError(t, err)
	require.Equal(t, "x", string(out))
	echoes(t, ex)
}

// TestF4_states tells the six states of loky's futures apart.
func TestF4_states(t *testing.T) {
	t.Parallel()
	x := newFutures(t, "")
	for _, tc := range []struct {
		f     *future
		state string
		err   error
	}{
		{x.pending, "queued", nil},
		{x.runs, "running", nil},
		{x.cancelled, "done", context.Canceled},
		{x.killed, "done", context.Canceled},
		{x.failed, "done", &executor.GuestError{Code: executor.CodeTrap}},
		{x.ok, "done", nil},
	} {
		require.Equal(t, tc.state, tc.f.State().String())
		require.ErrorIs(t, tc.f.Err(), tc.err)
	}
}

func TestF5_cancel(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		x := newFutures(t, method)
		require.Equal(t, executor.Queued, x.pending.Cancel())
		require.Equal(t, executor.Done, x.pending.Cancel(), "again")
		require.ErrorIs(t, x.pending.Err(), context.Canceled)
		require.Equal(t, executor.Running, x.runs.State())

		running(t, x.runs)
		require.Equal(t, executor.Running, x.runs.Cancel(), "loky could not")
		require.ErrorIs(t, x.runs.Err(), context.Canceled, "at once")
		x.g.open()
		out, err := wait(t, x.another)
		require.NoError(t, err)
		require.Equal(t, "another", string(out))

		for _, f := range []*future{x.ok, x.failed, x.cancelled, x.killed} {
			before := f.Err()
			require.Equal(t, executor.Done, f.Cancel())
			require.Equal(t, before, f.Err(), "the outcome stays")
		}
		require.NoError(t, x.ok.Err())
	})
}

// TestF6_truthTables has done(), running() and cancelled() of each state.
func TestF6_truthTables(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		x := newFutures(t, method)
		for _, tc := range []struct {
			name                     string
			f                        *future
			done, running, cancelled bool
		}{
			{"pending", x.pending, false, false, false},
			{"running", x.runs, false, true, false},
			{"cancelled", x.cancelled, true, false, true},
			{"cancelled while it ran", x.killed, true, false, true},
			{"failed", x.failed, true, false, false},
			{"successful", x.ok, true, false, false},
		} {
			closed := false
			select {
			case <-tc.f.Done():
				closed = true
			default:
			}
			require.Equal(t, tc.done, closed, tc.name)
			require.Equal(t, tc.done, tc.f.State() == executor.Done, tc.name)
			require.Equal(t, tc.running, tc.f.State() == executor.Running, tc.name)
			require.Equal(t, tc.cancelled, errors.Is(tc.f.Err(), context.Canceled), tc.name)
		}
	})
}

func TestF7_waitWithTimeout(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		x := newFutures(t, method)
		over, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		for _, tc := range []struct {
			name string
			f    *future
			out  string
			err  error
		}{
			{"pending", x.pending, "", context.DeadlineExceeded},
			{"running", x.runs, "", context.DeadlineExceeded},
			{"cancelled", x.cancelled, "", context.Canceled},
			{"cancelled while it ran", x.killed, "", context.Canceled},
			{"failed", x.failed, "", &executor.GuestError{Code: executor.CodeTrap}},
			{"successful", x.ok, "ok", nil},
		} {
			out, err := tc.f.Wait(over)
			require.ErrorIs(t, err, tc.err, tc.name)
			require.Equal(t, tc.out, string(out), tc.name)
		}
		require.Equal(t, executor.Queued, x.pending.State(), "the calls go on")
		require.Equal(t, executor.Running, x.runs.State())
		x.g.open()
		out, err := wait(t, x.runs)
		require.NoError(t, err)
		require.Equal(t, "runs", string(out))
	})
}

// TestF8_waiterIsWoken ends a call on another goroutine than the one that waits.
func TestF8_waiterIsWoken(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		g, h := newGates(t), newHold(t)
		for name, tc := range map[string]struct {
			fn    raw
			log   *slog.Logger
			begun func()
			end   func(f *future)
			check func(out []byte, err error)
		}{
			"result": {
				g.fn, g.log, func() { g.begun(t) }, func(*future) { g.open() },
				func(out []byte, err error) { require.NoError(t, err); require.Equal(t, "input", string(out)) },
			},
			"exception": {
				h.fn, h.log, func() { h.begun(t) }, func(f *future) { require.NoError(t, kill(f.Usage().PID)) },
				func(_ []byte, err error) {
					_, ok := errors.AsType[*executor.WorkerError](err)
					require.True(t, ok, "%v", err)
				},
			},
			"cancel": {
				h.fn, h.log, func() { h.begun(t) }, func(f *future) { f.Cancel() },
				func(_ []byte, err error) { require.ErrorIs(t, err, context.Canceled) },
			},
		} {
			ex := newExecutor(t, executor.Options{StartMethod: method, GuestLog: tc.log})
			f := executor.Submit(t.Context(), ex, tc.fn, []byte("input"))
			type result struct {
				out []byte
				err error
			}
			waiting, woken := make(chan struct{}), make(chan result, 1)
			go func() {
				close(waiting)
				out, err := f.Wait(context.Background())
				woken <- result{out, err}
			}()
			<-waiting
			tc.begun()
			require.Empty(t, woken, name)
			tc.end(f)
			select {
			case r := <-woken:
				tc.check(r.out, r.err)
			case <-time.After(hang):
				t.Fatal(name + ": nobody wakes the waiter")
			}
		}
	})
}
