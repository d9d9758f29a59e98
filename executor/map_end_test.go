package executor_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

// TestMap_shutdown shuts down while a Map goes on: what is under way is done, what comes is
// refused.
func TestMap_shutdown(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 2})
	echo := echoFunc(t)
	warmUp(t, ex, echo)
	var good, refused int
	done := make(chan error, 1)
	for _, err := range executor.Map(t.Context(), ex, echo, marked(5000, nil)) {
		if err != nil {
			require.ErrorIs(t, err, executor.ErrShutdown)
			refused++
			continue
		}
		require.Zero(t, refused, "in order")
		if good++; good == 1000 {
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), hang)
				defer cancel()
				done <- ex.Shutdown(ctx)
			}()
		}
	}
	require.Equal(t, 5000, good+refused)
	require.NoError(t, <-done)
}

// TestMap_closed closes the executor in the midst: each input has an answer all the same.
func TestMap_closed(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 2})
	echo := echoFunc(t)
	warmUp(t, ex, echo)
	n := 0
	for _, err := range executor.Map(t.Context(), ex, echo, marked(5000, nil)) {
		if err != nil {
			require.ErrorIs(t, err, executor.ErrShutdown)
		}
		if n++; n == 1000 {
			require.NoError(t, ex.Close())
		}
	}
	require.Equal(t, 5000, n)
}
