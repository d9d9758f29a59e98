package executor_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

// A nest is a host function that submits the call that its own guest is in once
// more: the input says how many levels are still to come, as text.
type nest struct {
	ex      *executor.Executor
	fn      raw
	bottom  hostFunction                            // what the last level does
	futures func(f *executor.Future[[]byte], n int) // is shown every nested call; may be nil
}

func (n *nest) call(ctx context.Context, in []byte) ([]byte, error) {
	levels, err := strconv.Atoi(string(in))
	if err != nil {
		return nil, err
	}
	if levels == 0 {
		return n.bottom(ctx, in)
	}
	f := executor.Submit(ctx, n.ex, n.fn, strconv.AppendInt(nil, int64(levels)-1, 10))
	if n.futures != nil {
		n.futures(f, levels)
	}
	return f.Wait(ctx)
}

func bottom(context.Context, []byte) ([]byte, error) { return []byte("bottom"), nil }

// newNest returns one whose executor has the options.
func newNest(t *testing.T, o executor.Options) *nest {
	t.Helper()
	n := &nest{fn: viaHost(t), bottom: bottom}
	o.Host = host(t, n.call)
	n.ex = newExecutor(t, o)
	return n
}

// submit submits a call below which there are to be levels-1 more.
func (n *nest) submit(t *testing.T, levels int) *executor.Future[[]byte] {
	t.Helper()
	return executor.Submit(t.Context(), n.ex, n.fn, strconv.AppendInt(nil, int64(levels)-1, 10))
}

func TestNested_depth(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2} {
		n := newNest(t, executor.Options{Workers: workers})
		for _, depth := range []int{1, 2, 10} {
			out, err := wait(t, n.submit(t, depth))
			require.NoError(t, err, "depth %d with %d workers", depth, workers)
			require.Equal(t, "bottom", string(out))
		}
		_, err := wait(t, n.submit(t, 11))
		require.ErrorContains(t, err, executor.ErrMaxDepth.Error())
		require.ErrorContains(t, err, "number 11, Options.MaxDepth is 10")
		s := n.ex.Stats()
		require.Zero(t, s.WorkersDied+s.WorkersKilled)
		require.LessOrEqual(t, s.Workers, 10*workers)
	}
}

func TestNested_maxDepth(t *testing.T) {
	t.Parallel()
	n := newNest(t, executor.Options{Workers: 1, MaxDepth: 1})
	var direct atomic.Value
	n.futures = func(f *executor.Future[[]byte], _ int) { direct.Store(f.Err()) }
	_, err := wait(t, n.submit(t, 2))
	require.Error(t, err)
	inner, _ := direct.Load().(error)
	require.ErrorIs(t, inner, executor.ErrMaxDepth)

	n = newNest(t, executor.Options{Workers: 1, MaxDepth: -1})
	out, err := wait(t, n.submit(t, 15))
	require.NoError(t, err, "no bound")
	require.Equal(t, "bottom", string(out))
}

// TestNested_budget has one call submit nested ones until it may no more.
func TestNested_budget(t *testing.T) {
	t.Parallel()
	n := newNest(t, executor.Options{Workers: 1, MaxDepth: -1})
	echo := echoFunc(t)
	var made atomic.Int32
	n.bottom = func(ctx context.Context, _ []byte) ([]byte, error) {
		for {
			if _, err := executor.Submit(ctx, n.ex, echo, nil).Wait(ctx); err != nil {
				return nil, err
			}
			made.Add(1)
		}
	}
	_, err := wait(t, n.submit(t, 3))
	require.ErrorContains(t, err, (&executor.LimitError{Limit: executor.LimitNested, Max: 1000, Used: 1001}).Error())
	require.EqualValues(t, 998, made.Load(), "with the two levels above")
	made.Store(0)
	_, err = wait(t, n.submit(t, 1))
	require.ErrorContains(t, err, executor.LimitNested)
	require.EqualValues(t, 1000, made.Load(), "another call has a budget of its own")
}

// TestNested_parked looks at the figures while the call at the bottom stays.
func TestNested_parked(t *testing.T) {
	t.Parallel()
	n, s := newNest(t, executor.Options{Workers: 1}), newStay()
	release := make(chan struct{})
	n.bottom = func(ctx context.Context, in []byte) ([]byte, error) {
		s.entered <- ctx
		select {
		case <-release:
		case <-ctx.Done():
		}
		return in, ctx.Err()
	}
	top := n.submit(t, 3)
	s.enter(t)
	st := n.ex.Stats()
	require.Equal(t, 2, st.Parked)
	require.Equal(t, 3, st.Running)
	require.Equal(t, 3, st.Workers)
	require.Zero(t, st.Queued)
	// The place is taken by the one at the bottom: a call from outside waits for it.
	outside := executor.Submit(t.Context(), n.ex, echoFunc(t), []byte("outside"))
	require.Equal(t, executor.Queued, outside.State())
	require.Equal(t, 1, n.ex.Stats().Queued)
	close(release)
	_, err := wait(t, top)
	require.NoError(t, err)
	out, err := wait(t, outside)
	require.NoError(t, err)
	require.Equal(t, "outside", string(out))
	st = n.ex.Stats()
	require.Zero(t, st.Parked+st.Running)
}

// A journal is a list of what happened, in order.
type journal struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

// TestNested_first has nested calls go before those that were queued earlier, the
// deepest first.
func TestNested_first(t *testing.T) {
	t.Parallel()
	var (
		ex      *executor.Executor
		j       journal
		fn      = viaHost(t)
		gate    = make(chan struct{})
		entered = make(chan struct{})
	)
	ex = newExecutor(t, executor.Options{Workers: 1, Host: host(t, func(ctx context.Context, in []byte) ([]byte, error) {
		j.add(string(in))
		switch string(in) {
		case "top":
			close(entered)
			<-gate
			f, g := executor.Submit(ctx, ex, fn, []byte("nested")), executor.Submit(ctx, ex, fn, []byte("nested later"))
			if _, err := f.Wait(ctx); err != nil {
				return nil, err
			}
			return g.Wait(ctx)
		case "nested":
			return executor.Submit(ctx, ex, fn, []byte("deepest")).Wait(ctx)
		default:
			return in, nil
		}
	})})
	top := executor.Submit(t.Context(), ex, fn, []byte("top"))
	<-entered
	var queued []*executor.Future[[]byte]
	for range 20 {
		queued = append(queued, executor.Submit(t.Context(), ex, fn, []byte("outside")))
	}
	close(gate)
	_, err := wait(t, top)
	require.NoError(t, err)
	for _, f := range queued {
		_, err := wait(t, f)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"top", "nested", "deepest", "nested later", "outside"}, j.all()[:5])
}

// TestNested_endsWithCaller cancels the call at the top.
func TestNested_endsWithCaller(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		interrupt executor.Interrupt
		workers   int // that live on, at most
	}{{executor.Flag, 3}, {executor.KillOnly, 0}} {
		t.Run(tc.interrupt.String(), func(t *testing.T) {
			t.Parallel()
			endsWithCaller(t, executor.Options{Workers: 1, Interrupt: tc.interrupt}, tc.workers)
		})
	}
}

func endsWithCaller(t *testing.T, o executor.Options, workers int) {
	t.Helper()
	n := newNest(t, o)
	nested := make(chan *executor.Future[[]byte], 10)
	n.futures = func(f *executor.Future[[]byte], _ int) { nested <- f }
	s := newStay()
	n.bottom = s.call
	top := n.submit(t, 3)
	s.enter(t)
	require.Equal(t, executor.Running, top.Cancel())
	for range 2 {
		f := <-nested
		_, err := wait(t, f)
		require.ErrorIs(t, err, context.Canceled)
	}
	require.ErrorIs(t, s.cause(t), context.Canceled)
	eventually(t, n.ex, func(s executor.Stats) bool {
		return s.Running == 0 && s.Parked == 0 && s.Workers <= workers
	})
}

// TestNested_tenant has nested calls run for their caller's tenant.
func TestNested_tenant(t *testing.T) {
	t.Parallel()
	n := newNest(t, executor.Options{Workers: 1})
	n.fn.Tenant = "outer"
	pids := make(chan int, 10)
	n.bottom = func(ctx context.Context, in []byte) ([]byte, error) {
		other := echoFunc(t)
		other.Tenant = "another"
		f := executor.Submit(ctx, n.ex, other, nil)
		_, err := f.Wait(ctx)
		pids <- f.Usage().PID
		return in, err
	}
	_, err := wait(t, n.submit(t, 1))
	require.NoError(t, err)
	nested := <-pids
	outer := echoFunc(t)
	outer.Tenant = "outer"
	// The worker of the nested call is still there, and serves only its tenant.
	seen := false
	for range 100 {
		f := executor.Submit(t.Context(), n.ex, outer, nil)
		_, err = wait(t, f)
		require.NoError(t, err)
		seen = seen || f.Usage().PID == nested
	}
	require.True(t, seen, "the nested call's worker is the caller's tenant's")
	other := echoFunc(t)
	other.Tenant = "another"
	f := executor.Submit(t.Context(), n.ex, other, nil)
	_, err = wait(t, f)
	require.NoError(t, err)
	require.NotEqual(t, nested, f.Usage().PID)
}

// TestNested_otherExecutor nests through a second executor and back.
func TestNested_otherExecutor(t *testing.T) {
	t.Parallel()
	var one, two *executor.Executor
	fn := viaHost(t)
	s := newStay()
	m := host(t, func(ctx context.Context, in []byte) ([]byte, error) {
		switch string(in) {
		case "3":
			return executor.Submit(ctx, two, fn, []byte("2")).Wait(ctx)
		case "2":
			return executor.Submit(ctx, one, fn, []byte("1")).Wait(ctx)
		case "stay":
			return s.call(ctx, in)
		case "stay in two":
			return executor.Submit(ctx, two, fn, []byte("stay")).Wait(ctx)
		default:
			return []byte("bottom"), nil
		}
	})
	one = newExecutor(t, executor.Options{Workers: 1, Host: m, MaxDepth: 3})
	two = newExecutor(t, executor.Options{Workers: 1, Host: m, MaxDepth: 2})
	out, err := call(t, one, fn, []byte("3"))
	require.NoError(t, err)
	require.Equal(t, "bottom", string(out))
	require.Zero(t, one.Stats().Parked+two.Stats().Parked)

	f := executor.Submit(t.Context(), one, fn, []byte("stay in two"))
	s.enter(t)
	require.Equal(t, 1, one.Stats().Parked)
	require.Equal(t, executor.Running, f.Cancel())
	require.ErrorIs(t, s.cause(t), context.Canceled, "it ends the call in the other executor")
	eventually(t, two, func(s executor.Stats) bool { return s.Running == 0 && s.Parked == 0 })

	f = executor.Submit(t.Context(), one, fn, []byte("stay in two"))
	s.enter(t)
	require.NoError(t, two.Close())
	_, err = wait(t, f)
	require.ErrorContains(t, err, executor.ErrShutdown.Error(), "the end of the other executor is an error of the host function")
	require.ErrorIs(t, s.cause(t), executor.ErrShutdown)
}

// TestNested_shutdown shuts down while a call still has nested ones to submit.
func TestNested_shutdown(t *testing.T) {
	t.Parallel()
	n := newNest(t, executor.Options{Workers: 1})
	entered, gate := make(chan struct{}), make(chan struct{})
	n.bottom = func(ctx context.Context, _ []byte) ([]byte, error) {
		close(entered)
		<-gate
		return executor.Submit(ctx, n.ex, echoFunc(t), []byte("still")).Wait(ctx)
	}
	top := n.submit(t, 2)
	<-entered
	down := make(chan error, 1)
	go func() { down <- n.ex.Shutdown(context.Background()) }()
	require.Eventually(t, func() bool {
		return errors.Is(executor.Submit(t.Context(), n.ex, echoFunc(t), nil).Err(), executor.ErrShutdown)
	}, hang, time.Millisecond, "new calls are refused")
	close(gate)
	out, err := wait(t, top)
	require.NoError(t, err)
	require.Equal(t, "still", string(out))
	require.NoError(t, <-down)
}

// TestNested_afterCaller submits with the context of a host function whose call is
// over.
func TestNested_afterCaller(t *testing.T) {
	t.Parallel()
	ctxs := make(chan context.Context, 1)
	ex := newExecutor(t, executor.Options{Workers: 1, Host: host(t, func(ctx context.Context, in []byte) ([]byte, error) {
		ctxs <- ctx
		return in, nil
	})})
	_, err := call(t, ex, viaHost(t), nil)
	require.NoError(t, err)
	ctx := <-ctxs
	<-ctx.Done()
	_, err = wait(t, executor.Submit(ctx, ex, echoFunc(t), nil))
	require.ErrorIs(t, err, context.Cause(ctx))
	// Without the cancellation it is an ordinary call that nests in nothing that goes on.
	out, err := wait(t, executor.Submit(context.WithoutCancel(ctx), ex, echoFunc(t), []byte("x")))
	require.NoError(t, err)
	require.Equal(t, "x", string(out))
	require.Zero(t, ex.Stats().Parked)
}

// TestNested_abandoned leaves a nested call behind that nobody waits for: it ends
// with its caller.
func TestNested_abandoned(t *testing.T) {
	t.Parallel()
	futures := make(chan *executor.Future[[]byte], 1)
	var ex *executor.Executor
	spin := spinFunc(t)
	ex = newExecutor(t, executor.Options{Workers: 1, Host: host(t, func(ctx context.Context, in []byte) ([]byte, error) {
		futures <- executor.Submit(ctx, ex, spin, nil)
		return in, nil
	})})
	_, err := call(t, ex, viaHost(t), nil)
	require.NoError(t, err)
	_, err = wait(t, <-futures)
	require.Error(t, err)
	require.NotErrorIs(t, err, executor.ErrShutdown)
	_, err = call(t, ex, echoFunc(t), nil)
	require.NoError(t, err)
}

// TestNested_trees runs trees of calls, each with two below it, on two workers.
func TestNested_trees(t *testing.T) {
	t.Parallel()
	const trees, levels = 8, 4
	var leaves atomic.Int32
	var mu sync.Mutex // guards most
	most := 0
	var ex *executor.Executor
	fn := viaHost(t)
	ex = newExecutor(t, executor.Options{Workers: 2, Host: host(t, func(ctx context.Context, in []byte) ([]byte, error) {
		mu.Lock()
		most = max(most, ex.Stats().Workers)
		mu.Unlock()
		if len(in) == levels-1 {
			leaves.Add(1)
			return []byte{1}, nil
		}
		var futures []*executor.Future[[]byte]
		for range 2 {
			futures = append(futures, executor.Submit(ctx, ex, fn, append(slices.Clone(in), 0)))
		}
		sum := byte(0)
		for _, f := range futures {
			out, err := f.Wait(ctx)
			if err != nil {
				return nil, err
			}
			sum += out[0]
		}
		return []byte{sum}, nil
	})})
	var futures []*executor.Future[[]byte]
	for range trees {
		futures = append(futures, executor.Submit(t.Context(), ex, fn, nil))
	}
	for _, f := range futures {
		out, err := wait(t, f)
		require.NoError(t, err)
		require.Equal(t, []byte{1 << (levels - 1)}, out)
	}
	require.EqualValues(t, trees<<(levels-1), leaves.Load(), "every call ran once")
	require.LessOrEqual(t, most, 2*levels, "as many processes as workers and levels")
}
