package parity_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/startmethod"
)

// forget returns calls of an executor to which there is no other reference: a
// running one for each input, and a pending one.
func forget(t *testing.T, o executor.Options, fn raw, begun func(), inputs ...string) (fs []*future, pids []int) {
	t.Helper()
	o = options(t, o)
	ex, err := executor.New(&o)
	require.NoError(t, err)
	for _, in := range inputs {
		fs = append(fs, executor.Submit(t.Context(), ex, fn, []byte(in)))
		begun()
	}
	for _, f := range fs {
		pids = append(pids, running(t, f))
	}
	fs = append(fs, executor.Submit(t.Context(), ex, echoFunc(t), []byte("pending")))
	require.Equal(t, executor.Queued, fs[len(fs)-1].State())
	return fs, pids
}

// collect lets the garbage collector find what is forgotten, as far as that can be
// asked for.
func collect() {
	for range 3 {
		runtime.GC()
	}
}

// goneOnceCollected waits until the processes have ended without a Close.
func goneOnceCollected(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		require.Eventually(t, func() bool {
			runtime.GC()
			return !alive(pid)
		}, hang, 10*time.Millisecond, "the worker %d of a forgotten executor", pid)
	}
}

func TestS7_forgottenExecutor(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		g := newGates(t)
		fs, pids := forget(t, executor.Options{StartMethod: method, GuestLog: g.log}, g.fn, func() { g.begun(t) }, "a", "b")
		collect()
		for _, f := range fs {
			require.NotEqual(t, executor.Done, f.State(), "calls that are not done keep it")
		}
		g.open()
		for i, want := range []string{"a", "b", "pending"} {
			out, err := wait(t, fs[i])
			require.NoError(t, err)
			require.Equal(t, want, string(out))
		}
		goneOnceCollected(t, append(pids, fs[2].Usage().PID)...)
	})
}

func TestS8_crashOfForgottenExecutor(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		h := newHold(t)
		fs, pids := forget(t, executor.Options{StartMethod: method, Workers: 1, GuestLog: h.log}, h.fn, func() { h.begun(t) }, "x")
		collect()
		require.NoError(t, kill(pids[0]))
		_, err := wait(t, fs[0])
		workerKilled(t, err, pids[0])
		out, err := wait(t, fs[1])
		require.NoError(t, err, "the pending call has another worker")
		require.Equal(t, "pending", string(out))
		require.NotEqual(t, pids[0], fs[1].Usage().PID)
		goneOnceCollected(t, pids[0], fs[1].Usage().PID)
	})
}
