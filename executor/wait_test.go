package executor_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
)

// mixed returns a future that is done, one that has failed, and one that never
// ends by itself.
func mixed(t *testing.T) (ok, bad, never *executor.Future[[]byte]) {
	t.Helper()
	ex := newExecutor(t, executor.Options{Workers: 2})
	ok = executor.Submit(t.Context(), ex, echoFunc(t), nil)
	bad = executor.Submit(t.Context(), ex, raw{Module: tiny(t, "trap", guesttest.TinyTrap()), Name: "trap"}, nil)
	_, err := wait(t, ok)
	require.NoError(t, err)
	_, err = wait(t, bad)
	require.Error(t, err)
	return ok, bad, executor.Submit(t.Context(), ex, spinFunc(t), nil)
}

func TestWait(t *testing.T) {
	t.Parallel()
	ok, bad, never := mixed(t)
	for _, tc := range []struct {
		until   executor.Until
		fs      []*executor.Future[[]byte]
		done    []int
		pending []int
	}{
		{executor.FirstCompleted, []*executor.Future[[]byte]{never, ok}, []int{1}, []int{0}},
		{executor.FirstCompleted, []*executor.Future[[]byte]{never, bad}, []int{1}, []int{0}},
		{executor.FirstFailed, []*executor.Future[[]byte]{ok, never, bad}, []int{0, 2}, []int{1}},
		{executor.FirstFailed, []*executor.Future[[]byte]{ok, ok}, []int{0, 1}, nil},
		{executor.AllCompleted, []*executor.Future[[]byte]{ok, bad, ok}, []int{0, 1, 2}, nil},
		{executor.AllCompleted, nil, nil, nil},
	} {
		done, pending, err := executor.Wait(t.Context(), tc.until, tc.fs...)
		require.NoError(t, err, tc.until)
		require.Equal(t, tc.done, done, tc.until)
		require.Equal(t, tc.pending, pending, tc.until)
	}
	reason := errors.New("no time")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, reason)
	defer cancel()
	for _, until := range []executor.Until{executor.AllCompleted, executor.FirstFailed} {
		done, pending, err := executor.Wait(ctx, until, ok, never)
		require.ErrorIs(t, err, reason, until)
		require.Equal(t, []int{0}, done)
		require.Equal(t, []int{1}, pending)
	}
	never.Cancel()
	done, pending, err := executor.Wait(t.Context(), executor.AllCompleted, ok, never)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, done, "cancelled is done")
	require.Empty(t, pending)
}

func TestWait_later(t *testing.T) {
	t.Parallel()
	_, _, never := mixed(t)
	type result struct {
		done []int
		err  error
	}
	results := make(chan result, 1)
	go func() {
		done, _, err := executor.Wait(context.Background(), executor.FirstFailed, never)
		results <- result{done, err}
	}()
	running(t, never)
	never.Cancel()
	require.Equal(t, result{[]int{0}, nil}, <-results)
}

func TestAsCompleted(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2}), echoFunc(t)
	var fs []*executor.Future[[]byte]
	for i := range 50 {
		fs = append(fs, executor.Submit(t.Context(), ex, echo, []byte{byte(i)}))
	}
	fs = append(fs, fs[7]) // twice
	seen := make(map[int]bool)
	for i, f := range executor.AsCompleted(t.Context(), fs...) {
		require.Equal(t, executor.Done, f.State())
		out, err := f.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, []byte{byte(i)}, out)
		require.False(t, seen[i])
		seen[i] = true
	}
	require.Len(t, seen, 50, "each future once")
	for range executor.AsCompleted(t.Context(), fs...) {
		break
	}
	for range executor.AsCompleted[*executor.Future[int]](t.Context()) {
		t.Fatal("nothing completes")
	}
}

func TestAsCompleted_context(t *testing.T) {
	t.Parallel()
	ok, bad, never := mixed(t)
	reason := errors.New("no time")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, reason)
	defer cancel()
	var order []int
	for i, f := range executor.AsCompleted(ctx, never, ok, bad) {
		order = append(order, i)
		if i == 0 {
			_, err := f.Wait(ctx)
			require.ErrorIs(t, err, reason)
		}
	}
	require.Equal(t, []int{1, 2, 0}, order, "the one that is not done comes last")
	for range executor.AsCompleted(t.Context(), never, ok) {
		break // leaves a goroutine waiting for never, which the loop ends
	}
}

func TestOnDone(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	ex, echo := newExecutor(t, executor.Options{Workers: 1, Logger: slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelError}))}), echoFunc(t)
	hold := executor.Submit(t.Context(), ex, spinFunc(t), nil)
	f := executor.Submit(t.Context(), ex, echo, []byte("x"))
	var (
		mu    sync.Mutex
		order []int
		wg    sync.WaitGroup
	)
	add := func(n int) func(*executor.Future[[]byte]) {
		wg.Add(1)
		return func(got *executor.Future[[]byte]) {
			defer wg.Done()
			mu.Lock()
			order = append(order, n)
			mu.Unlock()
			if got != f || got.State() != executor.Done {
				t.Error("called with another future, or before the call was done")
			}
			if n == 1 {
				panic("callback on purpose")
			}
		}
	}
	for n := range 4 {
		f.OnDone(add(n))
	}
	hold.Cancel()
	wg.Wait()
	_, err := wait(t, f)
	require.NoError(t, err)
	f.OnDone(add(4)) // done already
	wg.Wait()
	require.Equal(t, []int{0, 1, 2, 3, 4}, order)
	require.Contains(t, buf.String(), "callback on purpose")
}

func TestOnDone_anything(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 1}), echoFunc(t)
	left := make(chan int, 1)
	var chain func(n int) func(*executor.Future[[]byte])
	chain = func(n int) func(*executor.Future[[]byte]) {
		return func(f *executor.Future[[]byte]) {
			if f.Err() != nil || n == 0 {
				err := ex.Close() // from a callback
				if err != nil {
					t.Error(err)
				}
				left <- n
				return
			}
			executor.Submit(context.Background(), ex, echo, nil).OnDone(chain(n - 1))
		}
	}
	executor.Submit(t.Context(), ex, echo, nil).OnDone(chain(50))
	require.Zero(t, <-left, "each callback submits the next call, the last one closes")
	f := executor.Submit(t.Context(), ex, echo, nil)
	done := make(chan error, 1)
	f.OnDone(func(f *executor.Future[[]byte]) { done <- f.Err() })
	require.ErrorIs(t, <-done, executor.ErrShutdown, "a future that was never queued has callbacks too")
}
