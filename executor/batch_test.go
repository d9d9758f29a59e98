package executor_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

// TestBatch_cancelMany cancels every third of many short calls, running, handed
// ahead and queued ones: nothing happens to the others.
func TestBatch_cancelMany(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2}), echoFunc(t)
	for range 20 {
		var futures []*executor.Future[[]byte]
		for range 300 {
			futures = append(futures, executor.Submit(t.Context(), ex, echo, make([]byte, 100)))
		}
		for i := 0; i < len(futures); i += 3 {
			futures[i].Cancel()
		}
		for i, f := range futures {
			out, err := wait(t, f)
			if i%3 == 0 && err != nil {
				continue // it was in time
			}
			require.NoError(t, err)
			require.Len(t, out, 100)
		}
	}
	require.Zero(t, ex.Stats().WorkersDied, "the workers that were killed were killed on purpose")
}
