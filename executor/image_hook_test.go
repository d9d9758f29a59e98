package executor_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// TestHook has a guest be told once before each call of a clone, with a new seed.
func TestHook(t *testing.T) {
	t.Parallel()
	ex, fn := snapshots(t, executor.Options{Workers: 1}), states(t, guesttest.CountGuest{Hook: guesttest.CountHook})
	seeds := make(map[uint64]bool)
	for range 10 {
		s, u := show(t, ex, fn("count"))
		require.Equal(t, startmethod.Snapshot, u.StartMethod, u.Fallback)
		seeds[s.Seed] = true
		s.Seed = 0
		require.Equal(t, guesttest.Counts{Memory: 1, Global: 1, Hooks: 1}, s)
	}
	require.Len(t, seeds, 10)
	require.NotContains(t, seeds, uint64(0))
	_, err := call(t, ex, fn("trap"), nil)
	require.Error(t, err)
	s, _ := show(t, ex, fn("count"))
	require.EqualValues(t, 1, s.Hooks, "of a new clone")
	for _, method := range []startmethod.Method{startmethod.Fresh, startmethod.Precompiled} {
		fn := fn("count")
		fn.StartMethod = method
		s, u := show(t, ex, fn)
		require.Equal(t, first, s, method)
		require.Equal(t, method, u.StartMethod)
	}
}

func TestHook_seed(t *testing.T) {
	t.Parallel()
	seeds := make(map[uint64]uint64)
	for range 2 {
		ex := snapshots(t, executor.Options{Workers: 1})
		for range 2 {
			for _, seed := range []uint64{7, 8} {
				fn := states(t, guesttest.CountGuest{Hook: guesttest.CountHook})("count")
				fn.Grants.Seed = seed
				s, _ := show(t, ex, fn)
				if seeds[seed] == 0 {
					seeds[seed] = s.Seed
				}
				require.Equal(t, seeds[seed], s.Seed)
			}
		}
	}
	require.NotEqual(t, seeds[7], seeds[8])
}

// A warm instance that is a clone is told once, one that is not never.
func TestHook_warm(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, StartMethod: startmethod.Warm})
	for name, tc := range map[string]struct {
		guest guesttest.CountGuest
		hooks uint32
	}{
		"clone": {guesttest.CountGuest{Hook: guesttest.CountHook}, 1},
		"none":  {guesttest.CountGuest{Hook: guesttest.CountHook, Table: true}, 0},
	} {
		fn := states(t, tc.guest)
		for round := range 2 {
			for i := range uint32(3) {
				s, u := show(t, ex, fn("count"))
				require.Equal(t, tc.hooks, s.Hooks, name)
				require.Equal(t, i+1, s.Memory, "round %d of %s", round, name)
				require.Equal(t, startmethod.Warm, u.StartMethod)
			}
			_, err := call(t, ex, fn("trap"), nil)
			require.Error(t, err)
		}
	}
}

// A hook that fails shows when the image is captured.
func TestHook_fails(t *testing.T) {
	t.Parallel()
	for hook, want := range map[guesttest.Hook]string{guesttest.TrapHook: "unreachable", guesttest.FailHook: "from the hook"} {
		reason := fellBack(t, snapshots(t, executor.Options{Workers: 1}), states(t, guesttest.CountGuest{Hook: hook})("count"))
		require.Contains(t, reason, "capturing its image failed")
		require.Contains(t, reason, want)
	}
}

// What a hook writes is nobody's output.
func TestHook_output(t *testing.T) {
	t.Parallel()
	ex, fn := snapshots(t, executor.Options{Workers: 1}), states(t, guesttest.CountGuest{Hook: guesttest.WriteHook})
	for range 3 {
		s, u := show(t, ex, fn("count"))
		require.Equal(t, startmethod.Snapshot, u.StartMethod, u.Fallback)
		require.NotZero(t, s.Seed)
		s.Seed = 0
		require.Equal(t, guesttest.Counts{Memory: 1, Global: 1, Hooks: 1}, s)
	}
}

func TestHook_type(t *testing.T) {
	t.Parallel()
	f := executor.Submit(t.Context(), snapshots(t, executor.Options{Workers: 1}), states(t, guesttest.CountGuest{Hook: guesttest.WrongHook})("count"), nil)
	_, err := wait(t, f)
	var me *serialize.ModuleError
	require.ErrorAs(t, err, &me)
	require.ErrorContains(t, err, "sandpool_v1_restored")
}

// drawn is what the fixture's draws gives.
type drawn struct {
	Math, MathV2   []uint64
	Own            uint64
	Order          []int
	InitOrder      []int
	Crypto         []byte
	Seed, InitSeed uint64
}

func draw(t *testing.T, ex *executor.Executor, seed uint64) drawn {
	t.Helper()
	fn := executor.Func[struct{}, drawn]{Module: fixture(t), Name: "draws", Grants: executor.Grants{Seed: seed}}
	f := executor.Submit(t.Context(), ex, fn, struct{}{})
	d, err := wait(t, f)
	require.NoError(t, err)
	require.Equal(t, startmethod.Snapshot, f.Usage().StartMethod, f.Usage().Fallback)
	return d
}

// Clones share what initialisation chose and draw nothing else alike.
func TestRandom(t *testing.T) {
	t.Parallel()
	ex := snapshots(t, executor.Options{Workers: 2, CallsPerWorker: 4})
	all := make(map[string]bool)
	see := func(what string, v any) {
		text := fmt.Sprint(what, v)
		require.False(t, all[text], "drawn twice: %s", text)
		all[text] = true
	}
	orders := make(map[string]bool) // of which there are a few hundred: init chose the hashes
	before := draw(t, ex, 0)
	for range 10 {
		d := draw(t, ex, 0)
		for _, n := range slices.Concat(d.Math, d.MathV2) {
			see("number ", n)
		}
		see("order ", d.Order)
		orders[fmt.Sprint(d.InitOrder)] = true
		see("crypto ", d.Crypto)
		see("seed ", d.Seed)
		require.Equal(t, before.Own, d.Own, "a generator of init's own begins where init left it")
		require.Equal(t, before.InitSeed, d.InitSeed)
	}
	require.Greater(t, len(orders), 1)
	captured(t, ex, 1)
}

// The same seed gives the same numbers, in every call, worker and executor.
func TestRandom_seeded(t *testing.T) {
	t.Parallel()
	var seven []drawn
	for range 2 {
		ex := snapshots(t, executor.Options{Workers: 1, CallsPerWorker: 2})
		for range 4 {
			seven = append(seven, draw(t, ex, 7))
		}
		eight := draw(t, ex, 8)
		require.NotEqual(t, seven[0].Math, eight.Math)
		require.NotEqual(t, seven[0].MathV2, eight.MathV2)
		require.NotEqual(t, seven[0].Crypto, eight.Crypto)
		require.NotEqual(t, seven[0].Order, eight.Order)
	}
	for _, d := range seven[1:] {
		require.Equal(t, seven[0], d)
	}
}

// Without an image too, whether or not the worker has called the module before.
func TestRandom_seededPrecompiled(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, CallsPerWorker: 2, StartMethod: startmethod.Precompiled})
	fn := executor.Func[struct{}, drawn]{Module: fixture(t), Name: "draws", Grants: executor.Grants{Seed: 7}}
	first, err := call(t, ex, fn, struct{}{})
	require.NoError(t, err)
	for range 4 {
		d, err := call(t, ex, fn, struct{}{})
		require.NoError(t, err)
		require.Equal(t, first.Crypto, d.Crypto)
		require.Equal(t, first.Math, d.Math)
		require.Equal(t, first.Own, d.Own)
	}
}
