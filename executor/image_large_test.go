package executor_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/startmethod"
	"github.com/sandpool/sandpool/wasmworker"
)

// large is a function of a guest whose instances are too large for a worker to keep
// between calls.
func large(t *testing.T) raw {
	t.Helper()
	const pages = 2100
	g := guesttest.NewTiny()
	body := new(guesttest.Code).Append(g.Text("done")).Call(g.Write).I32(0)
	return raw{Module: tiny(t, "large", g.Finish("large", [2]uint32{pages, pages}, nil, body)), Name: "large"}
}

// Each call of a large guest has a clone of its own, whose remains are collected.
func TestSnapshot_large(t *testing.T) {
	t.Parallel()
	ex, fn := snapshots(t, executor.Options{Workers: 1, CallsPerWorker: -1, WorkerGrowth: -1}), large(t)
	var begun, grown int64
	for i := range 6_000 {
		f := executor.Submit(t.Context(), ex, fn, nil)
		_, err := wait(t, f)
		require.NoError(t, err)
		require.Equal(t, startmethod.Snapshot, f.Usage().StartMethod, f.Usage().Fallback)
		now, _ := proc.Resident(f.Usage().PID)
		if i == 0 {
			begun = now
		}
		grown = max(grown, now-begun)
	}
	require.Less(t, grown, int64(64<<20), "a clone leaves some 18 KiB")
	require.Zero(t, ex.Stats().WorkersDied)
}

// An audit has nothing to look at where the instance was not kept.
func TestSnapshot_largeAudited(t *testing.T) {
	t.Parallel()
	ex, fn := snapshots(t, executor.Options{Workers: 1, Env: []string{wasmworker.AuditVariable + "=1"}}), large(t)
	for range 3 {
		_, err := call(t, ex, fn, nil)
		require.NoError(t, err)
	}
}

// deep is a function whose guest needs a call stack of some 30 bytes for each of that
// many calls.
func deep(t *testing.T, depth int32) raw {
	t.Helper()
	g := guesttest.NewTiny()
	const imports = 4 // so that recurse has this number
	sig := guesttest.Sig([]guesttest.ValueType{guesttest.I32}, guesttest.I32)
	recurse := g.Func(sig, nil, new(guesttest.Code).
		Get(0).If().Get(0).I32(-1).Add().Call(imports).I32(1).Add().Return().End().I32(0))
	require.EqualValues(t, imports, recurse)
	body := new(guesttest.Code).I32(depth).Call(recurse).Drop().Append(g.Text("done")).Call(g.Write).I32(0)
	return raw{Module: tiny(t, "deep", g.Finish("deep", [2]uint32{1, 1}, nil, body)), Name: "deep"}
}

// The call stacks that instances have grown stay with them: those that are kept take
// no more than the worker has.
func TestSnapshot_deep(t *testing.T) {
	t.Parallel()
	for _, depth := range []int32{300_000, 900_000} {
		limits := executor.Limits{Memory: 1 << 20, Input: 1 << 20, Output: 1 << 20, Stack: -1}
		ex, fn := snapshots(t, executor.Options{Workers: 1, CallsPerWorker: -1, WorkerGrowth: -1, Limits: limits}), deep(t, depth)
		var begun, grown int64
		for i := range 40 {
			fn.Grants.Seed = uint64(i + 1) // each has an image, and an instance, of its own
			f := executor.Submit(t.Context(), ex, fn, nil)
			_, err := wait(t, f)
			require.NoError(t, err, i)
			now, _ := proc.Resident(f.Usage().PID)
			if i == 0 {
				begun = now
			}
			grown = max(grown, now-begun)
		}
		require.Less(t, grown, int64(150<<20), depth)
	}
}

// What a warm instance was refused in one call is not what ends another.
func TestWarm_refused(t *testing.T) {
	t.Parallel()
	const huge = 60_000
	g := guesttest.NewTiny()
	body := new(guesttest.Code).
		Get(1).I32(0).Eq().If().I32(huge).MemoryGrow().Drop().I32(0).Return().End(). // no input
		Unreachable()
	fn := raw{Module: tiny(t, "warm", g.Finish("f", [2]uint32{1, guesttest.NoMax}, nil, body)), Name: "f"}
	fn.StartMethod = startmethod.Warm
	ex := snapshots(t, executor.Options{Workers: 1})
	for range 2 {
		_, err := call(t, ex, fn, nil)
		require.NoError(t, err)
	}
	_, err := call(t, ex, fn, []byte("trap"))
	var ge *executor.GuestError
	require.ErrorAs(t, err, &ge)
	require.Equal(t, executor.CodeTrap, ge.Code)
}

// A small module cannot make the host hold a page for each byte of its data.
func TestSnapshot_spreadData(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		segments int32
		step     int32
		method   startmethod.Method
	}{
		"thin":  {4_000, 4096, startmethod.Precompiled},
		"dense": {4_000, 8, startmethod.Snapshot},
		"few":   {100, 40 * 4096, startmethod.Snapshot},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ex := snapshots(t, executor.Options{Workers: 1})
			g := guesttest.NewTiny()
			for i := range tc.segments {
				g.Data(1<<16+i*tc.step, []byte{1})
			}
			body := new(guesttest.Code).I32(1<<16 + (tc.segments-1)*tc.step).I32(1).Call(g.Write).I32(0)
			fn := raw{Module: tiny(t, "spread", g.Finish("f", [2]uint32{300, 300}, nil, body)), Name: "f"}
			f := executor.Submit(t.Context(), ex, fn, nil)
			out, err := wait(t, f)
			require.NoError(t, err)
			require.Equal(t, []byte{1}, out)
			require.Equal(t, tc.method, f.Usage().StartMethod, f.Usage().Fallback)
			if tc.method != startmethod.Snapshot {
				require.Contains(t, f.Usage().Fallback, "spread")
			}
		})
	}
}

// A memory that is too large for an image has none, however little is in it.
func TestSnapshot_tooLarge(t *testing.T) {
	t.Parallel()
	const pages = 513 << 4
	ex := snapshots(t, executor.Options{Workers: 1, Limits: executor.Limits{Memory: -1}})
	g := guesttest.NewTiny()
	body := new(guesttest.Code).Append(g.Text("done")).Call(g.Write).I32(0)
	fn := raw{Module: tiny(t, "huge", g.Finish("huge", [2]uint32{pages, pages}, nil, body)), Name: "huge"}
	for range 2 {
		f := executor.Submit(t.Context(), ex, fn, nil)
		_, err := wait(t, f)
		require.NoError(t, err)
		require.Equal(t, startmethod.Precompiled, f.Usage().StartMethod)
		require.Contains(t, f.Usage().Fallback, "537919488 bytes")
	}
	captured(t, ex, 0)
}

// Warm instances are kept whatever stacks they have grown. Once they leave no memory
// to a new one, the worker is replaced: it is not that call which was too large.
func TestWarm_deep(t *testing.T) {
	t.Parallel()
	limits := executor.Limits{Memory: 1 << 20, Input: 1 << 20, Output: 1 << 20, Stack: -1}
	ex, fn := snapshots(t, executor.Options{Workers: 1, CallsPerWorker: -1, WorkerGrowth: -1, Limits: limits}), deep(t, 2_500_000)
	fn.StartMethod = startmethod.Warm
	failed := false
	for i := range 30 {
		fn.Grants.Seed = uint64(i + 1)
		_, err := call(t, ex, fn, nil)
		if err != nil {
			var we *executor.WorkerError
			require.ErrorAs(t, err, &we)
			require.False(t, failed, "two in a row")
		}
		failed = err != nil
	}
}
