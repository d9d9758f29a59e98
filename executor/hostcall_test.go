package executor_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
)

// hostFunction is what a host function does.
type hostFunction = func(ctx context.Context, input []byte) ([]byte, error)

// host makes a module of one function, "host".
func host(t *testing.T, fn hostFunction) *executor.HostModule {
	t.Helper()
	m, err := executor.NewHostModule(executor.HostFunc("host", fn))
	require.NoError(t, err)
	return m
}

// viaHost is a guest that hands its input to the host function of that name, which
// it is granted.
func viaHost(t *testing.T) raw {
	t.Helper()
	return raw{Module: tiny(t, "hostcall", guesttest.TinyHostCall("host")), Name: "hostcall", Grants: executor.Grants{Host: []string{"host"}}}
}

func TestHost(t *testing.T) {
	t.Parallel()
	type ctxKey struct{}
	failure := strings.Repeat("long ", 20_000) + "\xff"
	functions := map[string]hostFunction{
		"double":  func(_ context.Context, in []byte) ([]byte, error) { return append(in, in...), nil },
		"nothing": func(context.Context, []byte) ([]byte, error) { return nil, nil },
		"fails": func(_ context.Context, in []byte) ([]byte, error) {
			return []byte("lost"), errors.New("no " + string(in))
		},
		"longest": func(context.Context, []byte) ([]byte, error) { return nil, errors.New(failure) },
		"eof":     func(context.Context, []byte) ([]byte, error) { return nil, io.EOF },
		"panics":  func(context.Context, []byte) ([]byte, error) { panic("at\nthe disco") },
		"toolong": func(context.Context, []byte) ([]byte, error) { return make([]byte, 2<<20+1), nil },
		"value": func(ctx context.Context, _ []byte) ([]byte, error) {
			value, _ := ctx.Value(ctxKey{}).(string)
			return []byte(value), ctx.Err()
		},
	}
	var list []executor.HostFunction
	for name, fn := range functions {
		list = append(list, executor.HostFunc(name, fn))
	}
	m, err := executor.NewHostModule(list...)
	require.NoError(t, err)
	ex := newExecutor(t, executor.Options{Workers: 1, Host: m, Limits: executor.Limits{Input: 2 << 20, Output: 2 << 20}})
	ctx := context.WithValue(t.Context(), ctxKey{}, "carried along")
	run := func(name string, in []byte) ([]byte, error) {
		fn := raw{
			Module: tiny(t, "hostcall", guesttest.TinyHostCall(name)), Name: "hostcall",
			// More than are needed, in any order and twice: it is a set.
			Grants: executor.Grants{Host: []string{"value", name, "double", name}},
		}
		return wait(t, executor.Submit(ctx, ex, fn, in))
	}
	for _, in := range [][]byte{nil, []byte("ab"), bytes.Repeat([]byte("0123456"), 1<<20/7)} {
		out, err := run("double", bytes.Clone(in))
		require.NoError(t, err)
		require.True(t, bytes.Equal(append(bytes.Clone(in), in...), out), "%d bytes become %d", len(in), len(out))
	}
	out, err := run("nothing", make([]byte, 1<<20))
	require.NoError(t, err)
	require.Empty(t, out)
	out, err = run("value", nil)
	require.NoError(t, err)
	require.Equal(t, "carried along", string(out), "the values of Submit's ctx")

	for name, text := range map[string]string{
		"fails":   "no luck",
		"eof":     "EOF",
		"panics":  `host function panics panicked: at\nthe disco`,
		"toolong": "its output of 2097153 bytes is more than the function's input limit, 2097152",
	} {
		_, err := run(name, []byte("luck"))
		var ge *executor.GuestError
		require.ErrorAs(t, err, &ge, name)
		require.Equal(t, executor.CodeError, ge.Code)
		require.Equal(t, text, ge.Message)
	}
	_, err = run("longest", nil)
	var ge *executor.GuestError
	require.ErrorAs(t, err, &ge)
	require.Equal(t, failure[:32<<10], ge.Message, "long texts are cut")
	s := ex.Stats()
	require.EqualValues(t, 1, s.WorkersStarted, "none of this costs a worker")
}

func TestHost_grants(t *testing.T) {
	t.Parallel()
	m, err := executor.NewHostModule(
		executor.HostFunc("host", func(_ context.Context, in []byte) ([]byte, error) { return in, nil }),
		executor.HostFunc("other", func(_ context.Context, in []byte) ([]byte, error) { return nil, errors.New("the other") }),
	)
	require.NoError(t, err)
	require.Equal(t, []string{"host", "other"}, m.Names())
	ex, fn := newExecutor(t, executor.Options{Workers: 1, Host: m}), viaHost(t)
	_, err = call(t, ex, fn, []byte("x"))
	require.NoError(t, err)
	for _, grants := range [][]string{nil, {"other"}} {
		fn.Grants.Host = grants
		_, err = call(t, ex, fn, []byte("x"))
		require.ErrorIs(t, err, &executor.GuestError{Code: executor.CodeError})
		require.ErrorContains(t, err, "not granted", "in the very worker where it has been")
	}
	var oe *executor.OptionError
	fn.Grants.Host = []string{"host", "missing"}
	_, err = call(t, ex, fn, nil)
	require.ErrorAs(t, err, &oe)
	require.Equal(t, "Func.Grants.Host", oe.Option)
	require.ErrorContains(t, err, `no function "missing"; it has host, other`)
	fn.Grants.Host = make([]string, 65)
	_, err = call(t, ex, fn, nil)
	require.ErrorAs(t, err, &oe)
	require.ErrorContains(t, err, "65 functions")
	_, err = call(t, newExecutor(t, executor.Options{}), viaHost(t), nil)
	require.ErrorAs(t, err, &oe, "an executor without host functions")
	require.ErrorContains(t, err, "it has none")
}

func TestNewHostModule(t *testing.T) {
	t.Parallel()
	fn := func(context.Context, []byte) ([]byte, error) { return nil, nil }
	for text, list := range map[string][]executor.HostFunction{
		"two functions are named a": {executor.HostFunc("a", fn), executor.HostFunc("a", fn)},
		"function a is nil":         {executor.HostFunc[[]byte, []byte]("a", nil)},
		"HostFunc":                  {executor.HostFunc("", fn)},
		"HostFunc: ":                {executor.HostFunc("a,b", fn)},
	} {
		_, err := executor.NewHostModule(list...)
		var oe *executor.OptionError
		require.ErrorAs(t, err, &oe, text)
		require.ErrorContains(t, err, text)
	}
	require.Empty(t, (*executor.HostModule)(nil).Names())
}

// A stay is a host function that says what its context is and stays until that
// ends.
type stay struct {
	entered chan context.Context
	causes  chan error
}

func newStay() *stay {
	return &stay{entered: make(chan context.Context, 10), causes: make(chan error, 10)}
}

func (s *stay) call(ctx context.Context, in []byte) ([]byte, error) {
	s.entered <- ctx
	<-ctx.Done()
	s.causes <- context.Cause(ctx)
	return in, nil
}

// cause waits for the end of the function's context.
func (s *stay) cause(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.causes:
		return err
	case <-time.After(hang):
		t.Fatal("the host function's ctx does not end")
		return nil
	}
}

func (s *stay) enter(t *testing.T) context.Context {
	t.Helper()
	select {
	case ctx := <-s.entered:
		return ctx
	case <-time.After(hang):
		t.Fatal("the host function is not called")
		return nil
	}
}

func TestHost_contextEnds(t *testing.T) {
	t.Parallel()
	reason := errors.New("had enough")
	for name, tc := range map[string]struct {
		wall time.Duration
		end  func(t *testing.T, ex *executor.Executor, f *executor.Future[[]byte], cancel context.CancelCauseFunc)
		want error
	}{
		"Cancel": {0, func(_ *testing.T, _ *executor.Executor, f *executor.Future[[]byte], _ context.CancelCauseFunc) {
			f.Cancel()
		}, context.Canceled},
		"ctx": {0, func(_ *testing.T, _ *executor.Executor, _ *executor.Future[[]byte], cancel context.CancelCauseFunc) {
			cancel(reason)
		}, reason},
		"Close": {0, func(t *testing.T, ex *executor.Executor, _ *executor.Future[[]byte], _ context.CancelCauseFunc) {
			t.Helper()
			require.NoError(t, ex.Close())
		}, executor.ErrShutdown},
		"wall": {200 * time.Millisecond, func(*testing.T, *executor.Executor, *executor.Future[[]byte], context.CancelCauseFunc) {}, &executor.LimitError{Limit: "wall"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStay()
			ex, fn := newExecutor(t, executor.Options{Interrupt: executor.KillOnly, Workers: 1, Host: host(t, s.call)}), viaHost(t)
			fn.Limits.Wall = tc.wall
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			f := executor.Submit(ctx, ex, fn, nil)
			s.enter(t)
			pid := f.Usage().PID
			tc.end(t, ex, f, cancel)
			_, err := wait(t, f)
			require.ErrorIs(t, err, tc.want)
			require.ErrorIs(t, s.cause(t), tc.want)
			processGone(t, pid)
		})
	}
	t.Run("success", func(t *testing.T) {
		t.Parallel()
		ctxs := make(chan context.Context, 1)
		ex := newExecutor(t, executor.Options{Workers: 1, Host: host(t, func(ctx context.Context, in []byte) ([]byte, error) {
			ctxs <- ctx
			return in, ctx.Err()
		})})
		_, err := call(t, ex, viaHost(t), nil)
		require.NoError(t, err)
		ctx := <-ctxs
		select {
		case <-ctx.Done():
		case <-time.After(hang):
			t.Fatal("the ctx outlives the call")
		}
	})
}

// TestHost_workerDies kills a worker while its guest is in a host function: the call
// has begun, so it must not be begun again.
func TestHost_workerDies(t *testing.T) {
	t.Parallel()
	s := newStay()
	ex := newExecutor(t, executor.Options{Workers: 1, Host: host(t, s.call)})
	f := executor.Submit(t.Context(), ex, viaHost(t), nil)
	s.enter(t)
	require.NoError(t, kill(f.Usage().PID))
	_, err := wait(t, f)
	var we *executor.WorkerError
	require.ErrorAs(t, err, &we)
	require.Equal(t, 1, we.Attempts)
	require.ErrorIs(t, err, io.EOF)
	require.ErrorAs(t, s.cause(t), &we)
	require.Empty(t, s.entered, "it was called once")
}

// TestHost_workerDiesIdempotent: the second run has a context of its own.
func TestHost_workerDiesIdempotent(t *testing.T) {
	t.Parallel()
	s := newStay()
	var calls atomic.Int32
	ex, fn := newExecutor(t, executor.Options{Workers: 1, Host: host(t, func(ctx context.Context, in []byte) ([]byte, error) {
		if calls.Add(1) == 1 {
			return s.call(ctx, in)
		}
		return in, ctx.Err()
	})}), viaHost(t)
	fn.Idempotent = true
	f := executor.Submit(t.Context(), ex, fn, []byte("again"))
	s.enter(t)
	require.NoError(t, kill(f.Usage().PID))
	out, err := wait(t, f)
	require.NoError(t, err)
	require.Equal(t, "again", string(out))
	require.Equal(t, 2, f.Usage().Attempts)
	require.Error(t, s.cause(t), "the first one's context ended with its worker")
	require.EqualValues(t, 1, ex.Stats().Retried)
}

// TestHost_blocksForEver has a host function ignore its context: it keeps neither
// the call nor Close.
func TestHost_blocksForEver(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}, 2), make(chan struct{})
	defer close(leave)
	ex, fn := newExecutor(t, executor.Options{Interrupt: executor.KillOnly, Workers: 2, Host: host(t, func(context.Context, []byte) ([]byte, error) {
		entered <- struct{}{}
		<-leave
		return nil, nil
	})}), viaHost(t)
	first := executor.Submit(t.Context(), ex, fn, nil)
	second := executor.Submit(t.Context(), ex, fn, nil)
	<-entered
	<-entered
	pid := first.Usage().PID
	require.Equal(t, executor.Running, first.Cancel())
	processGone(t, pid)
	require.NoError(t, ex.Close())
	require.ErrorIs(t, second.Err(), executor.ErrShutdown)
}

// TestHost_closes closes the executor from its own host function, which would wait
// for itself if Close waited for it.
func TestHost_closes(t *testing.T) {
	t.Parallel()
	var ex *executor.Executor
	closed := make(chan error, 1)
	ex = newExecutor(t, executor.Options{Workers: 1, Host: host(t, func(context.Context, []byte) ([]byte, error) {
		closed <- ex.Close()
		return nil, nil
	})})
	_, err := call(t, ex, viaHost(t), nil)
	require.ErrorIs(t, err, executor.ErrShutdown)
	require.NoError(t, <-closed)
}

// TestHost_nestedErrorIsNoLoss hands a guest the error of another executor's dead
// worker: its own worker is none the worse.
func TestHost_nestedErrorIsNoLoss(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, Host: host(t, func(context.Context, []byte) ([]byte, error) {
		return nil, &executor.WorkerError{PID: 1, ExitCode: 3, Err: executor.ErrIdleDeath}
	})})
	_, err := call(t, ex, viaHost(t), nil)
	require.ErrorIs(t, err, &executor.GuestError{Code: executor.CodeError})
	require.ErrorContains(t, err, "worker process 1")
	require.Zero(t, ex.Stats().WorkersDied)
}

// TestHost_many calls host functions from several guests at once.
func TestHost_many(t *testing.T) {
	t.Parallel()
	const n = 20
	var calls atomic.Int32
	ex := newExecutor(t, executor.Options{Workers: 2, Host: host(t, func(_ context.Context, in []byte) ([]byte, error) {
		calls.Add(1)
		return in, nil
	})})
	type hostCall struct {
		Name  string
		Input []byte
		Times int
	}
	fn := executor.Func[hostCall, int]{Module: fixture(t), Name: "hostcalls", Grants: executor.Grants{Host: []string{"host"}}}
	var futures []*executor.Future[int]
	for range n {
		futures = append(futures, executor.Submit(t.Context(), ex, fn, hostCall{"host", []byte("x"), 30}))
	}
	for _, f := range futures {
		same, err := wait(t, f)
		require.NoError(t, err)
		require.Equal(t, 30, same)
	}
	require.EqualValues(t, 30*n, calls.Load())
}
