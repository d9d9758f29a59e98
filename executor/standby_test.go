package executor_test

import (
	"context"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
)

// A counter counts records.
type counter struct {
	slog.Handler

	n atomic.Int64
}

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }

func (c *counter) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "described" {
		c.n.Add(1)
	}
	return nil
}

// A standby has an instance of what calls start as: the first call that it gets need not wait until
// a guest has described itself.
func TestStandby_ready(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("kills processes, and there are snapshots")
	}
	lines := &counter{Handler: slog.DiscardHandler}
	ex := snapshots(t, executor.Options{Workers: 1, Standby: 1, Logger: slog.New(lines)})
	fn := raw{Module: newModule(t, "described", guesttest.TinyDescribed()), Name: "echo"}
	_, err := call(t, ex, fn, []byte("one"))
	require.NoError(t, err)
	for i := range 3 {
		eventually(t, ex, func(executor.Stats) bool { return executor.Ready(ex, fn.Module) == 1 })
		before := lines.n.Load()
		f := executor.Submit(t.Context(), ex, fn, []byte("two"))
		_, err := wait(t, f)
		require.NoError(t, err)
		require.NoError(t, kill(f.Usage().PID))
		processGone(t, f.Usage().PID)
		g := executor.Submit(t.Context(), ex, fn, []byte("three"))
		_, err = wait(t, g)
		require.NoError(t, err)
		require.NotEqual(t, f.Usage().PID, g.Usage().PID)
		require.Equal(t, before, lines.n.Load(), "round %d", i)
		require.False(t, g.Usage().Cold)
	}
	eventually(t, ex, func(executor.Stats) bool { return executor.Ready(ex, fn.Module) == 1 })
}

// A standby in which one tenant's guest has run is that tenant's. With the second tenant it is
// exchanged for one that is nobody's.
func TestStandby_tenants(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("there are no snapshots")
	}
	ex, fn := snapshots(t, executor.Options{Workers: 2, Standby: 1}), echoFunc(t)
	pids := make(map[int]string)
	run := func(tenant string) {
		t.Helper()
		fn.Tenant = tenant
		f := executor.Submit(t.Context(), ex, fn, nil)
		_, err := wait(t, f)
		require.NoError(t, err)
		require.Contains(t, []string{"", tenant}, pids[f.Usage().PID], "of another tenant")
		pids[f.Usage().PID] = tenant
	}
	run("a")
	eventually(t, ex, func(executor.Stats) bool { return executor.Ready(ex, fn.Module) == 1 })
	for pid := range executor.Bound(ex) {
		pids[pid] = "a"
	}
	require.Len(t, pids, 2)
	run("b")
	eventually(t, ex, func(s executor.Stats) bool { return s.Standby == 1 && executor.Stocked(ex, fn.Module) == 1 })
	require.Zero(t, executor.Ready(ex, fn.Module))
	require.Len(t, executor.Bound(ex), 2, "both workers, and no standby")
	for range 3 {
		run("a")
		run("b")
		run("c")
	}
}

// A guest that cannot describe itself where no call is under way has no instance made ready:
// its standby has the module, and is not lost.
func TestStandby_unsteady(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("there are no snapshots")
	}
	var asked atomic.Int64
	m, err := executor.NewHostModule(executor.HostFunc("f", func(context.Context, []byte) ([]byte, error) {
		asked.Add(1)
		return nil, nil
	}))
	require.NoError(t, err)
	for name, isolate := range map[string]executor.Switch{"isolated": executor.On, "shared": executor.Off} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ex := snapshots(t, executor.Options{Workers: 1, Standby: 1, Host: m, IsolateTenants: isolate})
			fn := raw{Module: newModule(t, "asking", guesttest.TinyAsking("f")), Name: "echo", Grants: executor.Grants{Host: []string{"f"}}}
			f := executor.Submit(t.Context(), ex, fn, []byte("one"))
			_, err := wait(t, f)
			require.NoError(t, err)
			require.Empty(t, f.Usage().Fallback)
			eventually(t, ex, func(s executor.Stats) bool { return s.Standby == 1 && executor.Unsteady(ex, fn.Module) })
			eventually(t, ex, func(s executor.Stats) bool { return s.Standby == 1 && executor.Stocked(ex, fn.Module) == 1 })
			before := asked.Load()
			require.Positive(t, before)
			out, err := call(t, ex, fn, []byte("two"))
			require.NoError(t, err)
			require.Equal(t, "two", string(out))
			s := ex.Stats()
			require.Zero(t, s.WorkersDied)
			require.EqualValues(t, 2, s.WorkersStarted)
		})
	}
}
