package executor_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// version is a module whose function "version" answers with the text.
func version(t *testing.T, text string) *serialize.Module {
	t.Helper()
	guest := guesttest.NewTiny()
	body := new(guesttest.Code).Append(guest.Text(text)).Call(guest.Write).I32(0)
	return tiny(t, "version "+text, guest.Finish("version", [2]uint32{1, 1}, nil, body))
}

// versionFunc is the function of whatever module the handle points at.
func versionFunc(h *serialize.Handle) raw { return raw{Handle: h, Name: "version"} }

// TestG5_swappedUnderLoad has many goroutines submit while the handle goes to and fro.
func TestG5_swappedUnderLoad(t *testing.T) {
	t.Parallel()
	for _, method := range []startmethod.Method{startmethod.Precompiled, startmethod.Snapshot, startmethod.Warm} {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			swapUnderLoad(t, newExecutor(t, executor.Options{StartMethod: method}))
		})
	}
}

func swapUnderLoad(t *testing.T, ex *executor.Executor) {
	t.Helper()
	versions := []*serialize.Module{version(t, "0"), version(t, "1")}
	h := serialize.NewHandle(versions[0])
	ctx, stop := context.WithTimeout(t.Context(), 2*hang)
	defer stop()
	var calls atomic.Int64
	var load sync.WaitGroup
	over := make(chan struct{})
	for range 8 {
		load.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				out, err := executor.Submit(ctx, ex, versionFunc(h), nil).Wait(ctx)
				if err != nil || string(out) != "0" && string(out) != "1" {
					t.Errorf("output %q, error %v", out, err)
					return
				}
				calls.Add(1)
			}
		})
	}
	for i := 1; i <= 60; i++ {
		before := calls.Load()
		require.NoError(t, executor.Swap(ctx, ex, h, versions[i%2], "version"))
		require.Same(t, versions[i%2], h.Module())
		for range 5 {
			out, err := executor.Submit(ctx, ex, versionFunc(h), nil).Wait(ctx)
			require.NoError(t, err)
			require.Equal(t, strconv.Itoa(i%2), string(out), "swap %d", i)
		}
		for calls.Load() == before && !t.Failed() { // the load goes on between any two swaps
			require.NoError(t, ctx.Err())
			_, err := executor.Submit(ctx, ex, versionFunc(h), nil).Wait(ctx)
			require.NoError(t, err)
		}
	}
	close(over)
	load.Wait()
	require.Zero(t, ex.Stats().Failed)
}

// TestSwap_goGuests swaps two guests built from Go source.
func TestSwap_goGuests(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	state, err := serialize.LoadModule(guesttest.Build(t, "state"))
	require.NoError(t, err)
	h := serialize.NewHandle(state)
	upper := executor.Func[string, string]{Handle: h, Name: "upper"}
	_, err = call(t, ex, upper, "a")
	require.Error(t, err, "the first module has no such function")
	require.NoError(t, executor.Swap(t.Context(), ex, h, fixture(t), "upper", "words"))
	out, err := call(t, ex, upper, "a")
	require.NoError(t, err)
	require.Equal(t, "A", out)
}

// TestSwap_many makes 300 swaps to as many modules, in a worker that lives on.
func TestSwap_many(t *testing.T) {
	t.Parallel()
	swaps := 300
	if testing.Short() {
		swaps = 40
	}
	for _, method := range []startmethod.Method{startmethod.Fresh, startmethod.Snapshot} {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			swapMany(t, newExecutor(t, executor.Options{Workers: 1, StartMethod: method, CacheDir: executor.NoCacheDir}), swaps)
		})
	}
}

func swapMany(t *testing.T, ex *executor.Executor, swaps int) {
	t.Helper()
	first := version(t, "0")
	h := serialize.NewHandle(first)
	pids := map[int]bool{}
	for i := 1; i <= swaps; i++ {
		require.NoError(t, executor.Swap(t.Context(), ex, h, version(t, strconv.Itoa(i))))
		f := executor.Submit(t.Context(), ex, versionFunc(h), nil)
		out, err := wait(t, f)
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(i), string(out))
		pids[f.Usage().PID] = true
		inHost, inWorker := executor.ModulesHeld(ex)
		require.LessOrEqual(t, inHost, 6, "the present one, four to go back to, and one that had a call")
		require.LessOrEqual(t, inWorker, 7)
	}
	require.Len(t, pids, 1)
	require.False(t, executor.HoldsModule(ex, first))
	require.Zero(t, ex.Stats().Failed)
	require.NoError(t, executor.Swap(t.Context(), ex, h, first), "one that was forgotten")
	out, err := call(t, ex, versionFunc(h), nil)
	require.NoError(t, err)
	require.Equal(t, "0", string(out))
}

// TestSwap_queued swaps while a call runs and another waits: both have the module
// that they were submitted with.
func TestSwap_queued(t *testing.T) {
	t.Parallel()
	g := newGate()
	ex := newExecutor(t, executor.Options{Workers: 2, Host: host(t, g.call)})
	held := viaHost(t)
	h := serialize.NewHandle(held.Module)
	held.Module, held.Handle = nil, h
	running := executor.Submit(t.Context(), ex, held, []byte("running"))
	g.entered(t, 1)
	require.NoError(t, executor.Swap(t.Context(), ex, h, version(t, "new"), "version"))
	out, err := call(t, ex, versionFunc(h), nil)
	require.NoError(t, err)
	require.Equal(t, "new", string(out))
	require.Equal(t, executor.Running, running.State())
	close(g.pass)
	_, err = wait(t, running)
	require.NoError(t, err)
}

// TestHandle_queued points a handle elsewhere while one call runs and another waits
// for its worker: both have the module that they were submitted with.
func TestHandle_queued(t *testing.T) {
	t.Parallel()
	g := newGate()
	ex := newExecutor(t, executor.Options{Workers: 1, Host: host(t, g.call)})
	held := viaHost(t)
	h := serialize.NewHandle(held.Module)
	held.Module, held.Handle = nil, h
	running := executor.Submit(t.Context(), ex, held, []byte("running"))
	g.entered(t, 1)
	queued := executor.Submit(t.Context(), ex, held, []byte("queued"))
	h.Set(version(t, "new"))
	changed := executor.Submit(t.Context(), ex, versionFunc(h), nil)
	require.Equal(t, executor.Queued, queued.State())
	close(g.pass)
	for _, f := range []*executor.Future[[]byte]{running, queued} {
		_, err := wait(t, f)
		require.NoError(t, err)
	}
	require.Equal(t, 2, len(g.all()), "the old module's function has run twice")
	out, err := wait(t, changed)
	require.NoError(t, err)
	require.Equal(t, "new", string(out))
}

// TestSwap_refused leaves the handle alone.
func TestSwap_refused(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	old := version(t, "old")
	h := serialize.NewHandle(old)
	ended, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("reason")
	cancel(reason)
	for name, tc := range map[string]struct {
		ctx       func() context.Context
		module    *serialize.Module
		functions []string
		want      error
	}{
		"no guest":    {t.Context, tiny(t, "library", guesttest.TinyNoABI()), nil, &serialize.ModuleError{Kind: serialize.MissingExport}},
		"no function": {t.Context, version(t, "new"), []string{"version", "other"}, &serialize.ModuleError{Kind: serialize.MissingExport, Name: "other"}},
		"ended":       {func() context.Context { return ended }, version(t, "new"), nil, reason},
		"start trap":  {t.Context, tiny(t, "starttrap", guesttest.TinyStartTrap()), nil, nil},
	} {
		err := executor.Swap(tc.ctx(), ex, h, tc.module, tc.functions...)
		require.Error(t, err, name)
		if tc.want != nil {
			require.ErrorIs(t, err, tc.want, name)
		}
		require.Same(t, old, h.Module(), name)
	}
	require.ErrorContains(t, executor.Swap(t.Context(), ex, nil, old), "the handle is nil")
	require.ErrorContains(t, executor.Swap(t.Context(), ex, h, nil), "the module is nil")
	out, err := call(t, ex, versionFunc(h), nil)
	require.NoError(t, err)
	require.Equal(t, "old", string(out))
	require.NoError(t, ex.Close())
	require.ErrorIs(t, executor.Swap(t.Context(), ex, h, version(t, "new")), executor.ErrShutdown)
	require.Same(t, old, h.Module())
}

// TestSwap_initializer refuses a module that does not register the executor's
// initializer: each of its calls would fail.
func TestSwap_initializer(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, Initializer: executor.Initializer{Name: "setup"}})
	old := fixture(t)
	h := serialize.NewHandle(old)
	err := executor.Swap(t.Context(), ex, h, version(t, "new"))
	require.ErrorIs(t, err, &serialize.ModuleError{Kind: serialize.MissingExport, Name: "setup"})
	require.Same(t, old, h.Module())
}

func TestHandle_badFunc(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{})
	for name, fn := range map[string]raw{
		"is set, and so":      {Module: version(t, "0"), Handle: serialize.NewHandle(version(t, "1")), Name: "version"},
		"points at no module": {Handle: new(serialize.Handle), Name: "version"},
	} {
		_, err := call(t, ex, fn, nil)
		oe, ok := errors.AsType[*executor.OptionError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, "Func.Handle", oe.Option)
		require.Contains(t, oe.Reason, name, fmt.Sprint(err))
	}
}
