package executor_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

func TestMapUnordered(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2}), echoFunc(t)
	for _, n := range []int{0, 1, 2, 9, 500} {
		taken := 0
		var seen []int
		for i, r := range executor.MapUnordered(t.Context(), ex, echo, numbered(n, &taken)) {
			require.NoError(t, r.Err)
			require.Equal(t, strconv.Itoa(i), string(r.Value), "the index is the input's")
			seen = append(seen, i)
		}
		require.Equal(t, n, taken)
		slices.Sort(seen)
		require.Len(t, slices.Compact(seen), n, "each once")
	}
}

// TestMapUnordered_order has the first input be done last.
func TestMapUnordered_order(t *testing.T) {
	t.Parallel()
	leave := make(chan struct{})
	ex := newExecutor(t, executor.Options{Workers: 2, Host: host(t, func(ctx context.Context, in []byte) ([]byte, error) {
		if string(in) == "0" {
			select {
			case <-leave:
			case <-ctx.Done():
			}
		}
		if string(in) == "7" {
			return nil, errors.New("unlucky")
		}
		return in, ctx.Err()
	})})
	taken := 0
	var order []int
	for i, r := range executor.MapUnordered(t.Context(), ex, viaHost(t), numbered(50, &taken)) {
		if i == 7 {
			require.ErrorContains(t, r.Err, "unlucky", "an error is that input's alone")
		} else {
			require.NoError(t, r.Err)
		}
		if order = append(order, i); len(order) == 49 {
			close(leave)
		}
	}
	require.Len(t, order, 50)
	require.Zero(t, order[49])
}

func TestMapUnordered_break(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2}), echoFunc(t)
	taken, n := 0, 0
	for _, r := range executor.MapUnordered(t.Context(), ex, echo, numbered(-1, &taken)) {
		require.NoError(t, r.Err)
		if n++; n == 300 {
			break
		}
	}
	require.LessOrEqual(t, taken, 300+2*256)
	s := ex.Stats()
	require.Zero(t, s.Queued+s.Running, "nothing is left behind")
}

func TestMapUnordered_context(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2}), echoFunc(t)
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	taken, good, bad := 0, 0, 0
	for _, r := range executor.MapUnordered(ctx, ex, echo, numbered(-1, &taken)) {
		if r.Err != nil {
			require.ErrorIs(t, r.Err, reason)
			bad++
			continue
		}
		if good++; good == 10 {
			cancel(reason)
		}
	}
	require.Positive(t, bad)
	require.Equal(t, taken, good+bad, "a result for each input that was taken")
	taken, bad = 0, 0
	for _, r := range executor.MapUnordered(ctx, ex, echo, numbered(-1, &taken)) {
		require.ErrorIs(t, r.Err, reason)
		bad++
	}
	require.Equal(t, 1, bad)
	require.Equal(t, 1, taken)
}

func TestMapUnordered_panics(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2}), echoFunc(t)
	require.PanicsWithValue(t, "no more inputs", func() {
		for range executor.MapUnordered(t.Context(), ex, echo, panicAfter(20)) {
		}
	})
	require.PanicsWithValue(t, "no more results", func() {
		for range executor.MapUnordered(t.Context(), ex, echo, numbered(-1, new(int))) {
			panic("no more results")
		}
	})
	s := ex.Stats()
	require.Zero(t, s.Queued+s.Running)
}

// panicAfter yields n inputs and panics.
func panicAfter(n int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for range n {
			if !yield([]byte("x")) {
				return
			}
		}
		panic("no more inputs")
	}
}

// TestMapUnordered_early: calls that were never taken in are results as well.
func TestMapUnordered_early(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 1, Limits: executor.Limits{Input: 3}}), echoFunc(t)
	inputs := slices.Values([][]byte{[]byte("a"), []byte("long"), []byte("b"), []byte("longer")})
	good, bad := 0, 0
	for i, r := range executor.MapUnordered(t.Context(), ex, echo, inputs) {
		if i%2 == 1 {
			require.ErrorIs(t, r.Err, &executor.LimitError{Limit: "input"})
			bad++
			continue
		}
		require.NoError(t, r.Err)
		good++
	}
	require.Equal(t, []int{2, 2}, []int{good, bad})
	require.NoError(t, ex.Close())
	n := 0
	for _, r := range executor.MapUnordered(t.Context(), ex, echo, numbered(200, new(int))) {
		require.ErrorIs(t, r.Err, executor.ErrShutdown)
		n++
	}
	require.Equal(t, 200, n)
}

// TestMapUnordered_closed closes the executor in the middle.
func TestMapUnordered_closed(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2}), echoFunc(t)
	const all, window = 4000, 2 * 256
	n, ended := 0, 0
	for _, r := range executor.MapUnordered(t.Context(), ex, echo, numbered(all, new(int))) {
		if r.Err != nil {
			require.ErrorIs(t, r.Err, executor.ErrShutdown)
			ended++
		}
		if n++; n == 50 {
			require.NoError(t, ex.Close())
		}
	}
	require.Equal(t, all, n)
	require.GreaterOrEqual(t, ended, all-50-2*window)
}

// TestMap_fullQueue maps through a queue with room for one, which others' calls find
// full.
func TestMap_fullQueue(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2, MaxPending: 1, TenantPending: 1}), echoFunc(t)
	taken, i := 0, 0
	for out, err := range executor.Map(t.Context(), ex, echo, numbered(100, &taken)) {
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(i), string(out))
		i++
	}
	require.Equal(t, 100, i)
	n := 0
	for _, r := range executor.MapUnordered(t.Context(), ex, echo, numbered(100, &taken)) {
		require.NoError(t, r.Err)
		n++
	}
	require.Equal(t, 100, n)
	_, err := executor.Describe(t.Context(), ex, echo.Module)
	require.NoError(t, err)
}

// TestMap_windowBytes takes fewer inputs when they are large.
func TestMap_windowBytes(t *testing.T) {
	t.Parallel()
	for size, most := range map[int]int{10: 512, 64 << 10: 32, 4 << 20: 8} {
		ex := newExecutor(t, executor.Options{Workers: 2, Host: host(t, func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		taken := make(chan int, 1000)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range executor.Map(ctx, ex, viaHost(t), func(yield func([]byte) bool) {
				for i := range 1000 {
					taken <- i
					if !yield(bytes.Repeat([]byte("x"), size)) {
						return
					}
				}
			}) {
			}
		}()
		eventually(t, ex, func(s executor.Stats) bool { return s.Running+s.Queued >= most })
		// More would be taken now: nothing is to be waited for but that.
		require.Never(t, func() bool { return len(taken) > most }, 50*time.Millisecond, 5*time.Millisecond)
		require.Len(t, taken, most, "%d bytes", size)
		cancel()
		<-done
	}
}
