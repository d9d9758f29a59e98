package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

// numbered yields 0, 1, … as text, for ever if n is negative, and counts in taken.
func numbered(n int, taken *int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := 0; i != n; i++ {
			*taken++
			if !yield(fmt.Append(nil, i)) {
				return
			}
		}
	}
}

func TestMap(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2}), echoFunc(t)
	for _, n := range []int{0, 1, 2, 7, 8, 9, 500} {
		taken, i := 0, 0
		for out, err := range executor.Map(t.Context(), ex, echo, numbered(n, &taken)) {
			require.NoError(t, err)
			require.Equal(t, strconv.Itoa(i), string(out), "input order")
			i++
		}
		require.Equal(t, n, i)
		require.Equal(t, n, taken)
	}
}

func TestMap_errorsAreAlone(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 2})
	index := executor.Func[int, int]{Module: fixture(t), Name: "index"}
	var got []string
	for n, err := range executor.Map(t.Context(), ex, index, slices.Values([]int{0, 5, 2, -1, 1})) {
		if err != nil {
			require.ErrorIs(t, err, &executor.GuestError{Code: executor.CodePanic})
			got = append(got, "error")
			continue
		}
		got = append(got, strconv.Itoa(n))
	}
	require.Equal(t, []string{"1", "error", "3", "error", "2"}, got)
}

func TestMap_break(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2}), echoFunc(t)
	taken := 0
	for out, err := range executor.Map(t.Context(), ex, echo, numbered(-1, &taken)) {
		require.NoError(t, err)
		if bytes.Equal(out, []byte("20")) {
			break
		}
	}
	require.LessOrEqual(t, taken, 21+2*256, "it is lazy: a window of 256 a worker beyond what was yielded")
	s := ex.Stats()
	require.Zero(t, s.Queued+s.Running, "nothing is left behind")
}

func TestMap_context(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2}), echoFunc(t)
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	taken, good, bad := 0, 0, 0
	for _, err := range executor.Map(ctx, ex, echo, numbered(-1, &taken)) {
		if err != nil {
			require.ErrorIs(t, err, reason)
			bad++
			continue
		}
		if good++; good == 10 {
			cancel(reason)
		}
	}
	require.GreaterOrEqual(t, good, 10)
	require.Positive(t, bad)

	require.Equal(t, taken, good+bad, "a result for each input that was taken")

	taken, bad = 0, 0
	for _, err := range executor.Map(ctx, ex, echo, numbered(-1, &taken)) {
		require.ErrorIs(t, err, reason)
		bad++
	}
	require.Equal(t, 1, bad, "a context that had ended is told once")
	require.Equal(t, 1, taken)
}

func TestMap_contextAtTheEnd(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2}), echoFunc(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	taken, n := 0, 0
	for _, err := range executor.Map(ctx, ex, echo, numbered(3, &taken)) {
		require.NoError(t, err)
		if n++; n == 3 {
			cancel()
		}
	}
	require.Equal(t, 3, n, "no more results than inputs")
}

func TestMap_inputsPanic(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2}), echoFunc(t)
	require.PanicsWithValue(t, "no more inputs", func() {
		for _, err := range executor.Map(t.Context(), ex, echo, func(yield func([]byte) bool) {
			for range 20 {
				if !yield([]byte("x")) {
					return
				}
			}
			panic("no more inputs")
		}) {
			require.NoError(t, err)
		}
	})
	s := ex.Stats()
	require.Zero(t, s.Queued+s.Running)
}

func TestMap_afterShutdown(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{})
	require.NoError(t, ex.Close())
	taken, n := 0, 0
	for _, err := range executor.Map(t.Context(), ex, echoFunc(t), numbered(3, &taken)) {
		require.ErrorIs(t, err, executor.ErrShutdown)
		n++
	}
	require.Equal(t, 3, n)
}
