package executor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

// A module that is not eligible runs precompiled, and says why.
func TestFallback(t *testing.T) {
	t.Parallel()
	var log record
	ex, fn := snapshots(t, executor.Options{Workers: 1, Logger: log.logger()}), states(t, guesttest.CountGuest{Table: true})
	for range 3 {
		require.Contains(t, fellBack(t, ex, fn("count")), "code changes a table")
	}
	d, err := executor.Describe(t.Context(), ex, fn("").Module)
	require.NoError(t, err)
	require.Equal(t, startmethod.Precompiled, d.StartMethod)
	require.Contains(t, d.Fallback, "code changes a table")
	require.Len(t, d.Functions, len(guesttest.CountFunctions()))
	require.Equal(t, 1, log.count("code changes a table"))
	captured(t, ex, 0)
	require.Zero(t, executor.Images(ex, fn("").Module), "nothing is noted for it")
	d, err = executor.Describe(t.Context(), ex, states(t, guesttest.CountGuest{})("").Module)
	require.NoError(t, err)
	require.Equal(t, startmethod.Snapshot, d.StartMethod)
	require.Empty(t, d.Fallback)
	captured(t, ex, 1)
}

// Calls go on with an image that is too old until there is a new one.
func TestRotation(t *testing.T) {
	t.Parallel()
	g := newGate()
	ex := snapshots(t, executor.Options{Workers: 1, Initializer: executor.Initializer{Name: "setuplog", Input: "x"}, Host: host(t, g.call)})
	fn := executor.Func[struct{}, drawn]{Module: fixture(t), Name: "draws", Grants: executor.Grants{Host: []string{"host"}}}
	own := func() uint64 {
		f := executor.Submit(t.Context(), ex, fn, struct{}{})
		d, err := wait(t, f)
		require.NoError(t, err)
		require.Equal(t, startmethod.Snapshot, f.Usage().StartMethod, f.Usage().Fallback)
		return d.Own // by which images can be told apart
	}
	f := executor.Submit(t.Context(), ex, fn, struct{}{})
	g.open(t, 1)
	_, err := wait(t, f)
	require.NoError(t, err)
	old := own()
	require.Equal(t, 1, executor.Slots(ex))
	executor.ExpireImages(ex)
	require.Equal(t, old, own())
	g.entered(t, 2)
	executor.ExpireImages(ex)
	require.Equal(t, old, own(), "the capture is under way")
	require.Equal(t, 1, executor.Capturing(ex), "one is enough")
	g.open(t, 1)
	require.Eventually(t, func() bool { return ex.Stats().Captured == 2 }, hang, time.Millisecond)
	require.Equal(t, 0, executor.Capturing(ex))
	fresh := own()
	require.NotEqual(t, old, fresh)
	require.Equal(t, fresh, own())
	require.Equal(t, 1, executor.Slots(ex), "what is bound to the old one is gone")
}

func TestRotation_always(t *testing.T) {
	t.Parallel()
	ex, fn := snapshots(t, executor.Options{Workers: 2}), states(t, guesttest.CountGuest{})("count")
	executor.SetImageAge(ex, 1)
	require.Eventually(t, func() bool {
		clean(t, ex, fn)
		return ex.Stats().Captured >= 5
	}, hang, time.Millisecond)
}

func TestRotation_fails(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	ex := snapshots(t, executor.Options{
		Workers: 1, Initializer: executor.Initializer{Name: "setuplog", Input: "x"},
		Host: host(t, func(context.Context, []byte) ([]byte, error) {
			if calls.Add(1) > 1 {
				return nil, errors.New("not again")
			}
			return nil, nil
		}),
	})
	fn := setupValue(t)
	for range 3 {
		f := executor.Submit(t.Context(), ex, fn, struct{}{})
		out, err := wait(t, f)
		require.NoError(t, err)
		require.Equal(t, setupOf{"x", 1}, out)
		require.Equal(t, startmethod.Snapshot, f.Usage().StartMethod, f.Usage().Fallback)
		require.Eventually(t, func() bool { return executor.Capturing(ex) == 0 }, hang, time.Millisecond)
		executor.ExpireImages(ex)
	}
	require.EqualValues(t, 3, calls.Load())
	captured(t, ex, 1)
}

// Images that were not used for long make room, also while calls use them.
func TestImages_eviction(t *testing.T) {
	t.Parallel()
	ex, fn := snapshots(t, executor.Options{Workers: 2}), states(t, guesttest.CountGuest{})("count")
	executor.SetMaxImages(ex, 3)
	var wg sync.WaitGroup
	for client := range 4 {
		wg.Go(func() {
			for i := range 12 {
				fn := fn
				fn.Grants.Seed = uint64((client+i)%6 + 1)
				f := executor.Submit(t.Context(), ex, fn, nil)
				out, err := f.Wait(t.Context())
				if s, _, _ := guesttest.ParseCounts(out); err != nil || s != first || f.Usage().StartMethod != startmethod.Snapshot {
					t.Error(err, s, f.Usage())
				}
			}
		})
	}
	wg.Wait()
	require.Greater(t, ex.Stats().Captured, uint64(6), "some were dropped and captured again")
	fn.Grants.Seed = 100
	clean(t, ex, fn)
	require.LessOrEqual(t, executor.Images(ex, fn.Module), 3)
}

// A worker does not keep every image that it has had.
func TestImages_worker(t *testing.T) {
	t.Parallel()
	ex, fn := snapshots(t, executor.Options{Workers: 1}), states(t, guesttest.CountGuest{})("count")
	for _, seed := range []uint64{40, 1} { // down and up again
		for i := range uint64(40) {
			fn.Grants.Seed = max(seed, i+1) - min(seed, i+1) + 1
			u := clean(t, ex, fn)
			require.Equal(t, seed == 40 && i == 0, u.Cold, "the module stays while images come and go")
		}
	}
	require.Equal(t, 32, executor.Slots(ex))
	captured(t, ex, 40)
}

// A guest's own generators are left alone: one with a fixed seed repeats itself.
func TestImages_generators(t *testing.T) {
	t.Parallel()
	ex := snapshots(t, executor.Options{Workers: 1, WarmUp: []executor.WarmUp{{Name: "generators", Input: 20}}})
	draw := executor.Func[int, []uint64]{Module: fixture(t), Name: "generators"}
	precompiled := draw
	precompiled.StartMethod = startmethod.Precompiled
	want, err := call(t, ex, precompiled, 20)
	require.NoError(t, err)
	require.Len(t, want, 20)
	for range 3 {
		f := executor.Submit(t.Context(), ex, draw, 0)
		got, err := wait(t, f)
		require.NoError(t, err)
		require.Equal(t, startmethod.Snapshot, f.Usage().StartMethod)
		require.Len(t, got, 20)
		require.NotEqual(t, want, got, "the warm-up call has drawn before")
		again, err := call(t, ex, draw, 0)
		require.NoError(t, err)
		require.Equal(t, got, again)
	}
}

// Generators with fixed seeds among the runtime's variables are told from its own.
func TestImages_fixedGenerators(t *testing.T) {
	t.Parallel()
	ex := snapshots(t, executor.Options{Workers: 1})
	draw := executor.Func[struct{}, [3]uint64]{Module: fixture(t), Name: "fixed"}
	precompiled := draw
	precompiled.StartMethod = startmethod.Precompiled
	want, err := call(t, ex, precompiled, struct{}{})
	require.NoError(t, err)
	drawn := map[uint64]bool{want[2]: true}
	for range 5 {
		f := executor.Submit(t.Context(), ex, draw, struct{}{})
		got, err := wait(t, f)
		require.NoError(t, err)
		require.Equal(t, startmethod.Snapshot, f.Usage().StartMethod, f.Usage().Fallback)
		require.Equal(t, want[:2], got[:2], "what has a fixed seed repeats itself")
		require.False(t, drawn[got[2]], "what has none does not")
		drawn[got[2]] = true
	}
}

// What a template answers that has been taken over harms nobody.
func TestHostileTemplate(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("the hostile templates are shell scripts")
	}
	for role, text := range map[string]string{
		"captureoversized":  "a memory of 4294901760 bytes",
		"captureundersized": "a memory of 0 bytes",
		"captureodd":        "a memory of 65537 bytes",
		"captureglobals":    "2 globals of 1",
		"capturerandom":     "a generator at 0xfff8",
		"captureunaligned":  "a generator at 0x4",
		"captureoverlap":    "a generator at 0x8",
		"captureframes":     "do not fit",
		"capturehostcall":   "host function 1, which does not exist",
		"capturelogs":       "beyond the limit",
		"capturegarbage":    "decode",
		"captureunfit":      "capturing its image failed: because \\x1b[31m",
		"captureexits":      "no more",
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			ex := newExecutor(t, executor.Options{
				Workers: 1, WorkerPath: script(t, role), StartMethod: startmethod.Snapshot, CacheDir: executor.NoCacheDir,
				Limits: executor.Limits{Memory: 1 << 20, Log: 1 << 10},
			})
			f := executor.Submit(t.Context(), ex, states(t, guesttest.CountGuest{})("count"), nil)
			_, err := wait(t, f)
			require.NoError(t, err, "the worker of this role answers all calls")
			require.Equal(t, startmethod.Precompiled, f.Usage().StartMethod)
			require.Contains(t, f.Usage().Fallback, text)
			captured(t, ex, 0)
		})
	}
}

// Compiled code is kept under the digest of what is compiled, in a directory that
// hosts share; a file that was tampered with is not used.
func TestImages_codeCache(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fn := states(t, guesttest.CountGuest{Salt: "cache"})("count")
	run := func() executor.Stats {
		ex := snapshots(t, executor.Options{Workers: 1, CacheDir: dir})
		clean(t, ex, fn)
		return ex.Stats()
	}
	require.EqualValues(t, 1, run().Compiled)
	s := run()
	require.Zero(t, s.Compiled)
	require.EqualValues(t, 1, s.CacheHits)
	other := snapshots(t, executor.Options{Workers: 1, CacheDir: dir})
	clean(t, other, states(t, guesttest.CountGuest{Salt: "cachf"})("count"))
	require.Zero(t, other.Stats().Compiled, "the code is the same")
	fresh := newExecutor(t, executor.Options{Workers: 1, CacheDir: dir, StartMethod: startmethod.Fresh})
	_, u := show(t, fresh, fn)
	require.Equal(t, startmethod.Fresh, u.StartMethod)

	tampered := 0
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || len(b) < 1000 {
			return err
		}
		b[len(b)/2] ^= 1
		tampered++
		return os.WriteFile(path, b, 0o600)
	}))
	require.Equal(t, 1, tampered)
	var log record
	ex := snapshots(t, executor.Options{Workers: 1, CacheDir: dir, Logger: log.logger()})
	clean(t, ex, fn)
	require.EqualValues(t, 1, ex.Stats().Compiled)
	require.Equal(t, 1, log.count("compiled module is not used"))
	require.EqualValues(t, 1, run().CacheHits, "it was put right")
}

func TestImages_codeCacheShared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fn := states(t, guesttest.CountGuest{Salt: strings.Repeat("shared", 3)})("count")
	var exs []*executor.Executor
	for range 3 {
		exs = append(exs, snapshots(t, executor.Options{Workers: 1, CacheDir: dir}))
	}
	var wg sync.WaitGroup
	for _, ex := range exs {
		wg.Go(func() {
			out, err := executor.Submit(t.Context(), ex, fn, nil).Wait(t.Context())
			if s, _, _ := guesttest.ParseCounts(out); err != nil || s != first {
				t.Error(err, s)
			}
		})
	}
	wg.Wait()
	for _, ex := range exs {
		s := ex.Stats()
		require.EqualValues(t, 1, s.Compiled+s.CacheHits)
	}
}
