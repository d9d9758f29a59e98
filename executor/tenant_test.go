package executor_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

// as returns fn for a tenant.
func as(fn raw, tenant string) raw {
	fn.Tenant = tenant
	return fn
}

// A gate is a host function that lets calls by one at a time, or all, and keeps a
// journal of their inputs.
type gate struct {
	journal

	pass chan struct{} // one for each call; closed for all
}

func newGate() *gate { return &gate{pass: make(chan struct{})} }

func (g *gate) call(ctx context.Context, in []byte) ([]byte, error) {
	g.add(string(in))
	select {
	case <-g.pass:
		return in, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// entered waits until n calls have come to the gate in all.
func (g *gate) entered(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return len(g.all()) >= n }, hang, time.Millisecond)
}

// open lets n calls by.
func (g *gate) open(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case g.pass <- struct{}{}:
		case <-time.After(hang):
			t.Fatal("no call comes to the gate")
		}
	}
}

// TestTenant_order queues 2000 calls of one tenant and then a few of another, which
// are to take turns with them.
func TestTenant_order(t *testing.T) {
	t.Parallel()
	g := newGate()
	ex := newExecutor(t, executor.Options{Workers: 1, IsolateTenants: executor.Off, Host: host(t, g.call)})
	fn := viaHost(t)
	var futures []*executor.Future[[]byte]
	for range 2000 {
		futures = append(futures, executor.Submit(t.Context(), ex, as(fn, "many"), []byte("many")))
	}
	g.entered(t, 1)
	for range 3 {
		futures = append(futures, executor.Submit(t.Context(), ex, as(fn, "few"), []byte("few")))
	}
	close(g.pass)
	for _, f := range futures {
		_, err := wait(t, f)
		require.NoError(t, err)
	}
	first := g.all()[:8]
	few := 0
	for _, line := range first {
		if line == "few" {
			few++
		}
	}
	require.Equal(t, 3, few, "%q", first)
	require.Len(t, g.all(), 2003)
}

// TestTenant_notStarved keeps one tenant busy for ever, on workers that no other may
// have, until a call of another one is done.
func TestTenant_notStarved(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2} {
		t.Run(strconv.Itoa(workers), func(t *testing.T) {
			t.Parallel()
			ex, echo := newExecutor(t, executor.Options{Workers: workers}), echoFunc(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var wg sync.WaitGroup
			defer wg.Wait()
			defer cancel()
			for range 8 * workers {
				wg.Go(func() {
					for ctx.Err() == nil {
						_, _ = executor.Submit(ctx, ex, as(echo, "busy"), nil).Wait(ctx)
					}
				})
			}
			require.Eventually(t, func() bool { return ex.Stats().Succeeded > 100 }, hang, time.Millisecond)
			for i := range 3 {
				out, err := call(t, ex, as(echo, "other"), []byte("x"))
				require.NoError(t, err, "%d", i)
				require.Equal(t, "x", string(out))
			}
			require.LessOrEqual(t, ex.Stats().Workers, workers)
		})
	}
}

// TestTenant_nestedNotStarved has a nested call need a worker of its own while
// another tenant has all that there are and always more to do.
func TestTenant_nestedNotStarved(t *testing.T) {
	t.Parallel()
	var ex *executor.Executor
	echo := echoFunc(t)
	ex = newExecutor(t, executor.Options{Workers: 1, IdleTimeout: -1, Host: host(t, func(ctx context.Context, in []byte) ([]byte, error) {
		return executor.Submit(ctx, ex, echo, in).Wait(ctx)
	})})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				_, _ = executor.Submit(ctx, ex, as(echo, "busy"), nil).Wait(ctx)
			}
		})
	}
	for range 3 {
		out, err := call(t, ex, as(viaHost(t), "nesting"), []byte("x"))
		require.NoError(t, err)
		require.Equal(t, "x", string(out))
	}
}

func TestTenant_workers(t *testing.T) {
	t.Parallel()
	s := newStay()
	ex := newExecutor(t, executor.Options{Workers: 3, TenantWorkers: 1, Host: host(t, s.call)})
	fn := viaHost(t)
	var futures []*executor.Future[[]byte]
	for range 3 {
		futures = append(futures, executor.Submit(t.Context(), ex, as(fn, "a"), nil))
	}
	s.enter(t)
	other := executor.Submit(t.Context(), ex, as(fn, "b"), nil)
	s.enter(t)
	// Whatever was to be started has been: the third call comes from a tenant of its own.
	third := executor.Submit(t.Context(), ex, as(fn, "c"), nil)
	s.enter(t)
	require.Equal(t, executor.Running, futures[0].State())
	require.Equal(t, executor.Queued, futures[1].State())
	require.Equal(t, 3, ex.Stats().Running)
	third.Cancel()
	other.Cancel()
	_, err := call(t, ex, as(echoFunc(t), "d"), nil)
	require.NoError(t, err)
	require.Equal(t, executor.Queued, futures[1].State(), "there are workers, but not for this tenant")
	futures[0].Cancel()
	s.enter(t)
	require.Equal(t, executor.Running, futures[1].State())
	require.Equal(t, executor.Queued, futures[2].State())
}

func TestTenant_priorities(t *testing.T) {
	t.Parallel()
	g := newGate()
	ex := newExecutor(t, executor.Options{Workers: 1, IsolateTenants: executor.Off, Host: host(t, g.call)})
	fn := viaHost(t)
	submit := func(tenant string, priority int, in string) *executor.Future[[]byte] {
		f := as(fn, tenant)
		f.Priority = priority
		return executor.Submit(t.Context(), ex, f, []byte(in))
	}
	futures := []*executor.Future[[]byte]{submit("a", 0, "first")}
	g.entered(t, 1)
	for _, priority := range []int{0, 3, -1, 3, 0} {
		futures = append(futures, submit("a", priority, strconv.Itoa(priority)+" "+strconv.Itoa(len(futures))))
	}
	close(g.pass)
	for _, f := range futures {
		_, err := wait(t, f)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"first", "3 2", "3 4", "0 1", "0 5", "-1 3"}, g.all())
}

// TestTenant_isolation has many tenants share few workers.
func TestTenant_isolation(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		isolate executor.Switch
		apart   bool
	}{"auto": {executor.Auto, true}, "on": {executor.On, true}, "off": {executor.Off, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ex, echo := newExecutor(t, executor.Options{Workers: 2, IsolateTenants: tc.isolate}), echoFunc(t)
			require.NoError(t, ex.Prewarm(t.Context(), 2)) // else the first to come up may serve them all
			var futures []*executor.Future[[]byte]
			for i := range 300 {
				futures = append(futures, executor.Submit(t.Context(), ex, as(echo, strconv.Itoa(i%6)), nil))
			}
			tenants := make(map[int]map[string]bool) // by process
			for i, f := range futures {
				_, err := wait(t, f)
				require.NoError(t, err)
				pid := f.Usage().PID
				if tenants[pid] == nil {
					tenants[pid] = make(map[string]bool)
				}
				tenants[pid][strconv.Itoa(i%6)] = true
			}
			if !tc.apart {
				// Of six tenants, though one process may get a single call where the other is faster.
				require.LessOrEqual(t, len(tenants), 2)
				served := slices.Collect(maps.Values(tenants))
				require.True(t, slices.ContainsFunc(served, func(of map[string]bool) bool { return len(of) > 1 }), "%v", served)
				return
			}
			require.GreaterOrEqual(t, len(tenants), 6)
			for pid, of := range tenants {
				require.Len(t, of, 1, "process %d served %q", pid, slices.Collect(maps.Keys(of)))
			}
			s := ex.Stats()
			require.LessOrEqual(t, s.Workers, 2)
			require.Zero(t, s.WorkersDied)
		})
	}
}

func TestTenant_tooLong(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 1}), echoFunc(t)
	_, err := call(t, ex, as(echo, string(make([]byte, 256))), nil)
	require.NoError(t, err)
	_, err = call(t, ex, as(echo, string(make([]byte, 257))), nil)
	var oe *executor.OptionError
	require.ErrorAs(t, err, &oe)
	require.Equal(t, "Func.Tenant", oe.Option)
}

func TestQueueFull(t *testing.T) {
	t.Parallel()
	s := newStay()
	ex := newExecutor(t, executor.Options{Workers: 1, MaxPending: 2, TenantPending: 1, Host: host(t, s.call)})
	fn, echo := viaHost(t), echoFunc(t)
	top := executor.Submit(t.Context(), ex, as(fn, "a"), nil)
	s.enter(t)
	a := executor.Submit(t.Context(), ex, as(echo, "a"), nil)
	require.Equal(t, executor.Queued, a.State())
	full := func(tenant string) {
		t.Helper()
		f := executor.Submit(t.Context(), ex, as(echo, tenant), nil)
		require.ErrorIs(t, f.Err(), executor.ErrQueueFull)
		require.Equal(t, executor.Done, f.Cancel())
	}
	full("a")
	b := executor.Submit(t.Context(), ex, as(echo, "b"), nil)
	require.Equal(t, executor.Queued, b.State())
	full("b")
	full("c")
	require.Equal(t, 2, ex.Stats().Queued)
	require.EqualValues(t, 3, ex.Stats().Submitted, "those that were refused were not taken in")
	require.Equal(t, executor.Queued, b.Cancel())
	c := executor.Submit(t.Context(), ex, as(echo, "c"), nil)
	require.Equal(t, executor.Queued, c.State(), "one that was cancelled has left room")
	full("b")
	top.Cancel()
	for _, f := range []*executor.Future[[]byte]{a, c} {
		_, err := wait(t, f)
		require.NoError(t, err)
	}
	_, err := call(t, ex, as(echo, "b"), nil)
	require.NoError(t, err)
}

// TestQueueFull_nested: nested calls do not count, else their callers would wait
// for themselves.
func TestQueueFull_nested(t *testing.T) {
	t.Parallel()
	n := newNest(t, executor.Options{Workers: 1, MaxPending: 1})
	full, entered := make(chan struct{}), make(chan struct{})
	n.bottom = func(ctx context.Context, in []byte) ([]byte, error) {
		close(entered)
		<-full
		return executor.Submit(ctx, n.ex, echoFunc(t), in).Wait(ctx)
	}
	top := n.submit(t, 2)
	<-entered
	queued := executor.Submit(t.Context(), n.ex, echoFunc(t), nil)
	require.ErrorIs(t, executor.Submit(t.Context(), n.ex, echoFunc(t), nil).Err(), executor.ErrQueueFull)
	close(full)
	_, err := wait(t, top)
	require.NoError(t, err)
	_, err = wait(t, queued)
	require.NoError(t, err)
}

// blockedSubmit calls Submit where it is to wait, and returns a channel that gives
// its future.
func blockedSubmit(ctx context.Context, ex *executor.Executor, fn raw, in string) <-chan *executor.Future[[]byte] {
	ch := make(chan *executor.Future[[]byte], 1)
	go func() { ch <- executor.Submit(ctx, ex, fn, []byte(in)) }()
	return ch
}

// blockedCalls waits until as many calls wait for room.
func blockedCalls(t *testing.T, ex *executor.Executor, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return executor.Blocked(ex) == n }, hang, time.Millisecond)
}

func TestBlockWhenFull(t *testing.T) {
	t.Parallel()
	g := newGate()
	ex := newExecutor(t, executor.Options{Workers: 1, MaxPending: 1, BlockWhenFull: true, IsolateTenants: executor.Off, Host: host(t, g.call)})
	fn := viaHost(t)
	first := executor.Submit(t.Context(), ex, fn, []byte("first"))
	g.entered(t, 1)
	queued := executor.Submit(t.Context(), ex, fn, []byte("queued"))

	reason := errors.New("no longer")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := blockedSubmit(ctx, ex, fn, "ended")
	blockedCalls(t, ex, 1)
	cancel(reason)
	f := <-ended
	require.ErrorIs(t, f.Err(), reason, "ctx ends the wait")
	blockedCalls(t, ex, 0)

	let := blockedSubmit(t.Context(), ex, fn, "let in")
	blockedCalls(t, ex, 1)
	g.open(t, 1)
	f = <-let
	g.entered(t, 2)
	require.Equal(t, executor.Queued, f.State(), "it has the room that another left")

	closed := blockedSubmit(t.Context(), ex, fn, "closed")
	blockedCalls(t, ex, 1)
	require.NoError(t, ex.Close())
	require.ErrorIs(t, (<-closed).Err(), executor.ErrShutdown)
	require.NoError(t, first.Err())
	require.ErrorIs(t, queued.Err(), executor.ErrShutdown)
	require.ErrorIs(t, f.Err(), executor.ErrShutdown)
	require.Equal(t, []string{"first", "queued"}, g.all())
}

func TestBlockWhenFull_shutdown(t *testing.T) {
	t.Parallel()
	g := newGate()
	ex := newExecutor(t, executor.Options{Workers: 1, TenantPending: 1, BlockWhenFull: true, Host: host(t, g.call)})
	fn := viaHost(t)
	first := executor.Submit(t.Context(), ex, fn, []byte("first"))
	g.entered(t, 1)
	queued := executor.Submit(t.Context(), ex, fn, []byte("queued"))
	blocked := blockedSubmit(t.Context(), ex, fn, "blocked")
	blockedCalls(t, ex, 1)
	down := make(chan error, 1)
	go func() { down <- ex.Shutdown(context.Background()) }()
	require.ErrorIs(t, (<-blocked).Err(), executor.ErrShutdown, "it was not taken in")
	close(g.pass)
	require.NoError(t, <-down)
	require.NoError(t, first.Err())
	require.NoError(t, queued.Err())
	s := ex.Stats()
	require.Equal(t, s.Submitted, s.Succeeded+s.Failed)
}

// TestBlockWhenFull_fair lets in those of tenants with the fewest calls waiting.
func TestBlockWhenFull_fair(t *testing.T) {
	t.Parallel()
	g := newGate()
	ex := newExecutor(t, executor.Options{Workers: 1, MaxPending: 2, BlockWhenFull: true, IsolateTenants: executor.Off, Host: host(t, g.call)})
	fn := viaHost(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	executor.Submit(ctx, ex, as(fn, "many"), []byte("many"))
	g.entered(t, 1)
	for range 2 {
		executor.Submit(ctx, ex, as(fn, "many"), []byte("many"))
	}
	var all []<-chan *executor.Future[[]byte]
	for i := range 20 {
		all = append(all, blockedSubmit(ctx, ex, as(fn, "many"), "many"))
		blockedCalls(t, ex, i+1)
	}
	few := blockedSubmit(ctx, ex, as(fn, "few"), "few")
	blockedCalls(t, ex, 21)
	g.open(t, 1)
	select {
	case <-few:
	case <-time.After(hang):
		t.Fatal("room went to the tenant that has a call waiting")
	}
	close(g.pass)
	for _, ch := range all {
		_, err := wait(t, <-ch)
		require.NoError(t, err)
	}
	require.Contains(t, g.all()[:4], "few")
}

// TestBlockWhenFull_many submits from many goroutines through a small queue.
func TestBlockWhenFull_many(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2, MaxPending: 3, TenantPending: 2, BlockWhenFull: true, IsolateTenants: executor.Off}), echoFunc(t)
	var wg sync.WaitGroup
	var good atomic.Int32
	for i := range 12 {
		wg.Go(func() {
			for j := range 100 {
				in := fmt.Append(nil, i, j)
				out, err := executor.Submit(t.Context(), ex, as(echo, strconv.Itoa(i%3)), in).Wait(t.Context())
				if err == nil && string(out) == string(in) {
					good.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1200, good.Load())
}
