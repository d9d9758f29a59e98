package parity_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// busy has n workers hold a call at the gate and returns the calls and the workers'
// processes.
func busy(t *testing.T, ex *executor.Executor, g *gate, n int) (fs []*future, pids []int) {
	t.Helper()
	for i := range n {
		fs = append(fs, executor.Submit(t.Context(), ex, g.fn, fmt.Append(nil, i)))
		g.begun(t)
	}
	for _, f := range fs {
		pids = append(pids, running(t, f))
	}
	require.Len(t, unique(pids), len(fs), "each call has a worker of its own")
	return fs, pids
}

func unique(pids []int) []int {
	var all []int
	seen := make(map[int]bool)
	for _, pid := range pids {
		if !seen[pid] {
			seen[pid] = true
			all = append(all, pid)
		}
	}
	return all
}

// requireReaped checks that no process has these numbers now, not even as a zombie.
func requireReaped(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		require.False(t, exists(pid), "process %d is still there", pid)
	}
}

func TestS1_submitAfterShutdown(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		for name, stop := range map[string]func(*executor.Executor) error{
			"Shutdown": func(ex *executor.Executor) error { return ex.Shutdown(t.Context()) },
			"Close":    func(ex *executor.Executor) error { return ex.Close() },
		} {
			ex := newExecutor(t, executor.Options{StartMethod: method})
			echoes(t, ex)
			require.NoError(t, stop(ex), name)
			before := ex.Stats()
			f := executor.Submit(t.Context(), ex, echoFunc(t), nil)
			require.Equal(t, executor.Done, f.State(), name)
			require.ErrorIs(t, f.Err(), executor.ErrShutdown, name)
			for _, err := range executor.Map(t.Context(), ex, echoFunc(t), inputs("x")) {
				require.ErrorIs(t, err, executor.ErrShutdown, name)
			}
			require.Equal(t, before.WorkersStarted, ex.Stats().WorkersStarted, "%s: nothing is started any more", name)
		}
	})
}

// unencodable has no encoding: it returns an error when it is encoded, or panics
// with it.
type unencodable struct{ panics bool }

var errUnencodable = errors.New("no encoding on purpose")

func (u unencodable) MarshalCBOR() ([]byte, error) {
	if u.panics {
		panic(errUnencodable)
	}
	return nil, errUnencodable
}

// unencodableCall is a call that fails to be submitted.
func unencodableCall(t *testing.T, ex *executor.Executor, u unencodable) error {
	t.Helper()
	f := executor.Submit(t.Context(), ex, executor.Func[unencodable, []byte]{Module: echoFunc(t).Module, Name: "echo"}, u)
	require.Equal(t, executor.Done, f.State(), "known at once")
	return f.Err()
}

func requireUnencodable(t *testing.T, err error) {
	t.Helper()
	se, ok := errors.AsType[*serialize.Error](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, "encode", se.Op)
	require.ErrorContains(t, err, errUnencodable.Error())
}

// shutdownWithEncodeErrors mixes calls that cannot be encoded with some that can
// and shuts down behind them.
func shutdownWithEncodeErrors(t *testing.T, method startmethod.Method, u unencodable) {
	t.Helper()
	for range 5 {
		ex := newExecutor(t, executor.Options{StartMethod: method})
		good := executor.Submit(t.Context(), ex, echoFunc(t), []byte("before"))
		bad := unencodableCall(t, ex, u)
		after := executor.Submit(t.Context(), ex, echoFunc(t), []byte("after"))
		returns(t, "Shutdown", func() { require.NoError(t, ex.Shutdown(t.Context())) })
		requireUnencodable(t, bad)
		for want, f := range map[string]*future{"before": good, "after": after} {
			require.Equal(t, executor.Done, f.State())
			out, err := f.Wait(t.Context())
			require.NoError(t, err, "only the call that cannot be encoded fails")
			require.Equal(t, want, string(out))
		}
	}
}

func TestS2_encodeErrorThenShutdown(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		shutdownWithEncodeErrors(t, method, unencodable{})
	})
}

func TestS3_encodePanicThenShutdown(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		shutdownWithEncodeErrors(t, method, unencodable{panics: true})
	})
}

func TestS5_fiftyCallsThenShutdown(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex := newExecutor(t, executor.Options{StartMethod: method})
		var fs []*future
		for i := range 50 {
			fs = append(fs, executor.Submit(t.Context(), ex, echoFunc(t), fmt.Append(nil, i)))
		}
		returns(t, "Shutdown", func() { require.NoError(t, ex.Shutdown(t.Context())) })
		for i, f := range fs {
			require.Equal(t, executor.Done, f.State())
			out, err := f.Wait(t.Context())
			require.NoError(t, err)
			require.Equal(t, strconv.Itoa(i), string(out))
		}
	})
}

func TestS6_shutdownReapsWorkers(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		const workers = 4
		ex, g := newGate(t, executor.Options{StartMethod: method, Workers: workers})
		_, pids := busy(t, ex, g, workers)
		g.open()
		returns(t, "Shutdown", func() { require.NoError(t, ex.Shutdown(t.Context())) })
		requireReaped(t, pids)
		s := ex.Stats()
		require.Zero(t, s.Workers)
		require.Zero(t, s.WorkersDied)
		require.Zero(t, s.WorkersKilled)
		require.EqualValues(t, workers, s.WorkersRetired, "each was sent home")
	})
}

func TestS9_scopedUse(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		var pids []int
		use := func(end func(*executor.Executor) error) {
			o := options(t, executor.Options{StartMethod: method})
			ex, err := executor.New(&o)
			require.NoError(t, err)
			defer func() { require.NoError(t, end(ex)) }()
			for range 5 {
				f := executor.Submit(t.Context(), ex, echoFunc(t), []byte("in scope"))
				out, err := wait(t, f)
				require.NoError(t, err)
				require.Equal(t, "in scope", string(out))
				pids = append(pids, f.Usage().PID)
			}
		}
		use(func(ex *executor.Executor) error { return ex.Shutdown(t.Context()) })
		requireReaped(t, pids)
		use((*executor.Executor).Close)
		requireReaped(t, pids)
	})
}

func TestS10_shutdownWithoutWaiting(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex, g := newGate(t, executor.Options{StartMethod: method})
		fs, pids := busy(t, ex, g, 2)
		fs = append(fs, executor.Submit(t.Context(), ex, echoFunc(t), []byte("pending")))
		pending := fs[len(fs)-1]
		require.ErrorIs(t, ex.Shutdown(ended(t)), errOver, "it does not wait")
		require.ErrorIs(t, executor.Submit(t.Context(), ex, echoFunc(t), nil).Err(), executor.ErrShutdown)
		for _, f := range fs {
			require.NotEqual(t, executor.Done, f.State())
		}
		require.Equal(t, executor.Queued, pending.State())
		g.open()
		for _, f := range fs {
			_, err := wait(t, f)
			require.NoError(t, err, "what was submitted before still runs")
		}
		out, err := pending.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, "pending", string(out))
		processGone(t, append(pids, pending.Usage().PID)...) // with nobody waiting
		require.Zero(t, ex.Stats().WorkersKilled)
		require.Zero(t, ex.Stats().WorkersDied)
	})
}

func TestS11_encodeErrorThenShutdownWithoutWaiting(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex, g := newGate(t, executor.Options{StartMethod: method, Workers: 1})
		fs, pids := busy(t, ex, g, 1)
		err := unencodableCall(t, ex, unencodable{})
		require.ErrorIs(t, ex.Shutdown(ended(t)), errOver)
		requireUnencodable(t, err)
		g.open()
		_, err = wait(t, fs[0])
		require.NoError(t, err)
		processGone(t, pids...)
	})
}

// TestS13_closeNestedCalls has a call wait for one in a second executor, which
// waits for an endless one in a third, and closes the first.
func TestS13_closeNestedCalls(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		third, hold := newHolder(t, executor.Options{StartMethod: method})
		nested := make(chan *future, 2) // one for each level below the first
		below := func(ex *executor.Executor, fn raw) *executor.HostModule {
			m, err := executor.NewHostModule(executor.HostFunc("below", func(ctx context.Context, in []byte) ([]byte, error) {
				f := executor.Submit(ctx, ex, fn, in)
				nested <- f
				return f.Wait(ctx)
			}))
			require.NoError(t, err)
			return m
		}
		second := newExecutor(t, executor.Options{StartMethod: method, Host: below(third, hold.fn)})
		first := newExecutor(t, executor.Options{StartMethod: method, Host: below(second, hostCallFunc(t, "below"))})

		top := executor.Submit(t.Context(), first, hostCallFunc(t, "below"), nil)
		hold.begun(t)
		middle, bottom := <-nested, <-nested
		pids := []int{running(t, top), running(t, middle), running(t, bottom)}
		require.Len(t, unique(pids), 3)

		returns(t, "Close", func() { require.NoError(t, first.Close()) })
		require.ErrorIs(t, top.Err(), executor.ErrShutdown)
		for _, f := range []*future{middle, bottom} {
			_, err := wait(t, f)
			require.Error(t, err, "a call ends with the one that submitted it")
		}
		processGone(t, pids[0])
		for i, ex := range []*executor.Executor{second, third} { // whose workers may live on, idle
			eventually(t, func() bool { return ex.Stats().Running == 0 }, "its call is over")
			require.NoError(t, ex.Close())
			processGone(t, pids[1+i])
		}
	})
}
