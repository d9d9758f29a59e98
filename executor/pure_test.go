package executor_test

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

// newCounted returns an executor with a pure function that counts its runs in the
// host.
func newCounted(t *testing.T, o executor.Options) (*executor.Executor, raw, *atomic.Int32) {
	t.Helper()
	runs := new(atomic.Int32)
	o.Host = host(t, func(_ context.Context, in []byte) ([]byte, error) {
		n := runs.Add(1)
		if string(in) == "fail" {
			return nil, errors.New("failure " + strconv.Itoa(int(n)))
		}
		return append([]byte("run of "), in...), nil
	})
	fn := viaHost(t)
	fn.Pure = true
	return newExecutor(t, o), fn, runs
}

func TestPure(t *testing.T) {
	t.Parallel()
	ex, fn, runs := newCounted(t, executor.Options{Workers: 1})
	f := executor.Submit(t.Context(), ex, fn, []byte("a"))
	out, err := wait(t, f)
	require.NoError(t, err)
	require.False(t, f.Usage().Cached)
	copy(out, "XXXXXX") // it is the caller's
	for range 3 {
		f = executor.Submit(t.Context(), ex, fn, []byte("a"))
		out, err = wait(t, f)
		require.NoError(t, err)
		require.Equal(t, "run of a", string(out))
		u := f.Usage()
		require.True(t, u.Cached)
		require.Zero(t, u.PID)
		require.Zero(t, u.Attempts)
		copy(out, "YYYYYY")
	}
	called := make(chan struct{})
	f.OnDone(func(*executor.Future[[]byte]) { close(called) })
	<-called
	require.EqualValues(t, 1, runs.Load())
	s := ex.Stats()
	require.EqualValues(t, 3, s.ResultHits)
	require.EqualValues(t, 4, s.Succeeded)
	require.EqualValues(t, 4, s.Submitted)

	for range 2 {
		_, err = call(t, ex, fn, []byte("fail"))
		require.Error(t, err)
	}
	require.EqualValues(t, 3, runs.Load(), "errors are not kept")
	impure := fn
	impure.Pure = false
	_, err = call(t, ex, impure, []byte("a"))
	require.NoError(t, err)
	require.EqualValues(t, 4, runs.Load(), "nor used by who does not ask")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, executor.Submit(ended, ex, fn, []byte("a")).Err(), context.Canceled)
	require.NoError(t, ex.Close())
	require.ErrorIs(t, executor.Submit(t.Context(), ex, fn, []byte("a")).Err(), executor.ErrShutdown)
}

// TestPure_domains: a result is for the same function in the same domain only.
func TestPure_domains(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		isolate executor.Switch
		change  func(fn *raw)
		cached  bool
	}{
		"the same":         {executor.Auto, func(*raw) {}, true},
		"priority":         {executor.Auto, func(fn *raw) { fn.Priority = 5; fn.Idempotent = true }, true},
		"tenant":           {executor.Auto, func(fn *raw) { fn.Tenant = "other" }, false},
		"tenant, together": {executor.Off, func(fn *raw) { fn.Tenant = "other" }, true},
		"memory":           {executor.Auto, func(fn *raw) { fn.Limits.Memory = 128 << 20 }, false},
		"start method":     {executor.Auto, func(fn *raw) { fn.StartMethod = "fresh" }, false},
		"small output":     {executor.Auto, func(fn *raw) { fn.Limits.Output = 3 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ex, fn, _ := newCounted(t, executor.Options{Workers: 1, IsolateTenants: tc.isolate})
			_, err := call(t, ex, fn, []byte("a"))
			require.NoError(t, err)
			other := fn
			tc.change(&other)
			f := executor.Submit(t.Context(), ex, other, []byte("a"))
			_, _ = wait(t, f)
			require.Equal(t, tc.cached, f.Usage().Cached)
		})
	}
}

func TestPure_off(t *testing.T) {
	t.Parallel()
	ex, fn, runs := newCounted(t, executor.Options{Workers: 1, ResultCache: -1})
	for range 2 {
		_, err := call(t, ex, fn, []byte("a"))
		require.NoError(t, err)
	}
	require.EqualValues(t, 2, runs.Load())
	require.Zero(t, ex.Stats().ResultHits)
}

// TestPure_maps hands cached results to loops.
func TestPure_maps(t *testing.T) {
	t.Parallel()
	ex, fn, runs := newCounted(t, executor.Options{Workers: 2})
	for range 3 {
		n := 0
		for i, r := range executor.MapUnordered(t.Context(), ex, fn, numbered(300, new(int))) {
			require.NoError(t, r.Err)
			require.Equal(t, "run of "+strconv.Itoa(i), string(r.Value))
			n++
		}
		require.Equal(t, 300, n)
		for out, err := range executor.Map(t.Context(), ex, fn, numbered(300, new(int))) {
			require.NoError(t, err)
			require.Contains(t, string(out), "run of ")
		}
	}
	require.EqualValues(t, 300, runs.Load())
}
