package parity_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/startmethod"
)

// TestE17_maxDepth nests calls: the input of each says how many are to be below.
func TestE17_maxDepth(t *testing.T) {
	t.Parallel()
	ends := map[string]func(*testing.T, *executor.Executor) error{
		"shutdown": func(t *testing.T, ex *executor.Executor) error { t.Helper(); return ex.Shutdown(t.Context()) },
		"kill":     func(_ *testing.T, ex *executor.Executor) error { return ex.Close() },
	}
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		for name, end := range ends {
			for given, works := range map[int]int{0: 10, 3: 3, 1: 1} { // MaxDepth and what it comes to
				var (
					ex      *executor.Executor
					deepest atomic.Int64
					refused atomic.Pointer[error] // of the call that was too deep
				)
				fn := hostCallFunc(t, "deeper")
				fn.StartMethod = method
				deeper := func(ctx context.Context, in []byte) ([]byte, error) {
					deepest.Add(1)
					left, err := strconv.Atoi(string(in))
					if err != nil || left == 0 {
						return []byte("bottom"), err
					}
					out, err := executor.Submit(ctx, ex, fn, strconv.AppendInt(nil, int64(left-1), 10)).Wait(ctx)
					if err != nil {
						refused.CompareAndSwap(nil, &err)
					}
					return out, err
				}
				host, err := executor.NewHostModule(executor.HostFunc("deeper", deeper))
				require.NoError(t, err)
				ex = newExecutor(t, executor.Options{Workers: 1, MaxDepth: given, Host: host})

				out, err := call(t, ex, fn, strconv.AppendInt(nil, int64(works-1), 10))
				require.NoError(t, err, "%s: depth %d", name, works)
				require.Equal(t, "bottom", string(out))
				require.EqualValues(t, works, deepest.Load())

				_, err = call(t, ex, fn, strconv.AppendInt(nil, int64(works), 10))
				require.ErrorIs(t, err, &executor.GuestError{Code: executor.CodeError}, "the error goes up through the guests")
				require.ErrorContains(t, err, "nest too deep")
				tooDeep := refused.Load()
				require.NotNil(t, tooDeep)
				require.ErrorIs(t, *tooDeep, executor.ErrMaxDepth, "where it was submitted it is the error itself")
				require.EqualValues(t, 2*works, deepest.Load(), "the one too deep did not run")
				require.NoError(t, end(t, ex))
			}
		}
	})
}
