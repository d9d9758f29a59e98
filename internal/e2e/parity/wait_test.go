package parity_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/startmethod"
)

// fixed are loky's futures in a known state.
type fixed struct {
	ex *executor.Executor
	g  *gate

	ok, failed, cancelled *future // done
	slow                  *future // running, at the gate with the input "slow"
}

func newFixed(t *testing.T, method startmethod.Method) fixed {
	t.Helper()
	ex, g := newGate(t, executor.Options{StartMethod: method})
	x := fixed{
		ex: ex, g: g,
		ok:     executor.Submit(t.Context(), ex, echoFunc(t), []byte("ok")),
		failed: executor.Submit(t.Context(), ex, trapFunc(t), nil),
		slow:   executor.Submit(t.Context(), ex, g.fn, []byte("slow")),
	}
	g.begun(t)
	_, err := wait(t, x.ok)
	require.NoError(t, err)
	_, err = wait(t, x.failed)
	require.ErrorIs(t, err, &executor.GuestError{Code: executor.CodeTrap})
	x.cancelled = executor.Submit(t.Context(), ex, spinFunc(t), nil)
	x.cancelled.Cancel()
	require.ErrorIs(t, x.cancelled.Err(), context.Canceled)
	require.Equal(t, executor.Running, x.slow.State())
	return x
}

// waits is Wait, which must neither hang nor fail.
func waits(t *testing.T, until executor.Until, fs ...*future) (done, pending []int) {
	t.Helper()
	returns(t, "Wait", func() {
		var err error
		done, pending, err = executor.Wait(t.Context(), until, fs...)
		require.NoError(t, err)
	})
	return done, pending
}

func TestW1_firstCompleted(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex, g := newGate(t, executor.Options{StartMethod: method})
		slow := executor.Submit(t.Context(), ex, g.fn, []byte("slow"))
		fast := executor.Submit(t.Context(), ex, g.fn, []byte("fast"))
		g.begun(t)
		g.begun(t)
		g.open("fast")
		done, pending := waits(t, executor.FirstCompleted, slow, fast)
		require.Equal(t, []int{1}, done)
		require.Equal(t, []int{0}, pending)
		require.Equal(t, executor.Running, slow.State(), "it is left alone")
	})
}

func TestW2_firstCompletedAlready(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		x := newFixed(t, method)
		done, pending := waits(t, executor.FirstCompleted, x.cancelled, x.slow, x.ok)
		require.Equal(t, []int{0, 2}, done)
		require.Equal(t, []int{1}, pending)
		for _, f := range []*future{x.cancelled, x.failed, x.ok} {
			done, pending = waits(t, executor.FirstCompleted, x.slow, f)
			require.Equal(t, []int{1}, done)
			require.Equal(t, []int{0}, pending)
		}
	})
}

func TestW3_firstFailed(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		x := newFixed(t, method)
		good := executor.Submit(t.Context(), x.ex, echoFunc(t), nil)
		_, err := wait(t, good)
		require.NoError(t, err)
		bad := executor.Submit(t.Context(), x.ex, trapFunc(t), nil)
		done, pending := waits(t, executor.FirstFailed, good, bad, x.slow)
		require.Equal(t, []int{0, 1}, done, "the successes so far are among them")
		require.Equal(t, []int{2}, pending)
	})
}

func TestW4_firstFailedAlready(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		x := newFixed(t, method)
		done, pending := waits(t, executor.FirstFailed, x.failed, x.slow)
		require.Equal(t, []int{0}, done)
		require.Equal(t, []int{1}, pending)
		done, pending = waits(t, executor.FirstFailed, x.ok, x.slow, x.cancelled)
		require.Equal(t, []int{0, 2}, done, "a cancelled call has failed")
		require.Equal(t, []int{1}, pending)

		// One that is good and done ends no such wait: it goes on until the other fails.
		ex, h := newHolder(t, executor.Options{StartMethod: method})
		later := executor.Submit(t.Context(), ex, h.fn, nil)
		h.begun(t)
		_, _, err := executor.Wait(ended(t), executor.FirstFailed, x.ok, later)
		require.ErrorIs(t, err, errOver)
		require.NoError(t, kill(running(t, later)))
		done, pending = waits(t, executor.FirstFailed, x.ok, x.slow, later)
		require.Equal(t, []int{0, 2}, done)
		require.Equal(t, []int{1}, pending)
	})
}

func TestW5_allCompleted(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		x := newFixed(t, method)
		good := executor.Submit(t.Context(), x.ex, echoFunc(t), nil)
		bad := executor.Submit(t.Context(), x.ex, trapFunc(t), nil)
		fs := []*future{x.ok, x.failed, x.cancelled, x.slow, good, bad}
		_, pending, err := executor.Wait(ended(t), executor.AllCompleted, fs...)
		require.ErrorIs(t, err, errOver)
		require.Contains(t, pending, 3, "one is not done")
		x.g.open("slow")
		done, pending := waits(t, executor.AllCompleted, fs...)
		require.Equal(t, []int{0, 1, 2, 3, 4, 5}, done)
		require.Empty(t, pending)
	})
}

func TestW6_waitTimeout(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		x := newFixed(t, method)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		done, pending, err := executor.Wait(ctx, executor.AllCompleted, x.cancelled, x.failed, x.ok, x.slow)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, []int{0, 1, 2}, done)
		require.Equal(t, []int{3}, pending)
		require.Equal(t, executor.Running, x.slow.State())
		x.g.open("slow")
		out, err := wait(t, x.slow)
		require.NoError(t, err, "the late one finishes later")
		require.Equal(t, "slow", string(out))
	})
}

func TestW7_asCompleted(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		x := newFixed(t, method)
		fs := []*future{x.slow, x.cancelled, x.failed, x.ok, executor.Submit(t.Context(), x.ex, echoFunc(t), []byte("more"))}
		var order []int
		for i, f := range executor.AsCompleted(t.Context(), fs...) {
			require.Same(t, fs[i], f)
			require.Equal(t, executor.Done, f.State())
			order = append(order, i)
			if len(order) == 4 {
				x.g.open("slow") // the rest has come without it
			}
		}
		require.Equal(t, []int{1, 2, 3, 4, 0}, order)
	})
}

func TestW8_asCompletedZeroTimeout(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		x := newFixed(t, method)
		ctx := ended(t)
		var order []int
		for i, f := range executor.AsCompleted(ctx, x.slow, x.cancelled, x.failed, x.ok) {
			order = append(order, i)
			if i == 0 {
				require.Equal(t, executor.Running, f.State())
				_, err := f.Wait(ctx)
				require.ErrorIs(t, err, errOver)
			} else {
				require.Equal(t, executor.Done, f.State())
			}
		}
		require.Equal(t, []int{1, 2, 3, 0}, order, "the one that is not done is last")
	})
}

func TestW9_duplicateFutures(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		x := newFixed(t, method)
		x.g.open("slow")
		var order []int
		for i := range executor.AsCompleted(t.Context(), x.ok, x.slow, x.ok, x.slow, x.ok) {
			order = append(order, i)
		}
		require.ElementsMatch(t, []int{0, 1}, order, "each once, by its first index")
		done, pending := waits(t, executor.AllCompleted, x.ok, x.ok)
		require.Equal(t, []int{0, 1}, done)
		require.Empty(t, pending)
	})
}
