package parity_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

// warnings are what an executor logs that is more than information.
type warnings struct {
	log *slog.Logger // for Options.Logger

	mu    sync.Mutex // guards texts
	texts []string
}

func newWarnings() *warnings {
	w := new(warnings)
	w.log = slog.New(w)
	return w
}

func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, r.Message)
	return nil
}

func (*warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (w *warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

func (w *warnings) WithGroup(string) slog.Handler { return w }

func (w *warnings) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.texts)
}

// concurrently runs f n times at once; what it returns fails the test.
func concurrently(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	returns(t, "a goroutine of the test", wg.Wait)
	require.NoError(t, errors.Join(errs...))
}

// served has the executor echo a text and reports what is wrong with the answer.
func served(ctx context.Context, ex *executor.Executor, echo raw, text string) error {
	out, err := executor.Submit(ctx, ex, echo, []byte(text)).Wait(ctx)
	if err != nil {
		return fmt.Errorf("echo of %q: %w", text, err)
	}
	if string(out) != text {
		return fmt.Errorf("%q was echoed as %q", text, out)
	}
	return nil
}

// newReusable returns a Reusable that the test closes.
func newReusable(t *testing.T) *executor.Reusable {
	t.Helper()
	r := new(executor.Reusable)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// get is r.Get with the options of these tests.
func get(t *testing.T, r *executor.Reusable, o executor.Options) *executor.Executor {
	t.Helper()
	o = options(t, o)
	ex, err := r.Get(t.Context(), &o)
	require.NoError(t, err)
	return ex
}

// together has n calls at the gate at once and returns the processes of their
// workers in order. No other gate call may be under way, and the tag may not have
// been used.
func together(t *testing.T, ex *executor.Executor, g *gate, tag string, n int) []int {
	t.Helper()
	var fs []*future
	var keys []string
	var pids []int
	for i := range n {
		keys = append(keys, tag+strconv.Itoa(i))
		fs = append(fs, executor.Submit(t.Context(), ex, g.fn, []byte(keys[i])))
	}
	for range fs {
		g.begun(t)
	}
	for _, f := range fs {
		pids = append(pids, running(t, f))
	}
	g.open(keys...)
	for i, f := range fs {
		out, err := wait(t, f)
		require.NoError(t, err)
		require.Equal(t, keys[i], string(out))
	}
	require.Len(t, unique(pids), n, "each call had a worker of its own")
	slices.Sort(pids)
	return pids
}

// A resizable is an executor that is resized in one way or another.
type resizable struct {
	*executor.Executor
	t        *testing.T
	resize   func(n int)
	gate     *gate
	warnings *warnings
}

// eachResize runs a subtest with an executor of New and its Resize, and one with a
// Reusable and its Get.
func eachResize(t *testing.T, o executor.Options, run func(ex *resizable)) {
	t.Helper()
	for name, start := range map[string]func(t *testing.T, ex *resizable, o executor.Options){
		"Resize": func(t *testing.T, ex *resizable, o executor.Options) {
			t.Helper()
			ex.Executor = newExecutor(t, o)
			ex.resize = func(n int) {
				t.Helper()
				returns(t, "Resize", func() { require.NoError(t, ex.Resize(n)) })
				require.Equal(t, n, ex.Stats().Limit)
			}
		},
		"Get": func(t *testing.T, ex *resizable, o executor.Options) {
			t.Helper()
			r := newReusable(t)
			ex.Executor = get(t, r, o)
			ex.resize = func(n int) {
				t.Helper()
				o.Workers = n
				returns(t, "Get", func() { get(t, r, o) })
				s := ex.Stats()
				require.Equal(t, n, s.Limit)
				require.EqualValues(t, 1, s.ID, "another size is no other executor")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ex, o := &resizable{t: t, gate: newGates(t), warnings: newWarnings()}, o
			ex.gate.options(&o)
			o.Logger = ex.warnings.log
			start(t, ex, o)
			t.Cleanup(func() { ex.gate.open() }) // before the executor closes
			run(ex)
		})
	}
}

func TestR1_resizeKeepsWorkers(t *testing.T) {
	t.Parallel()
	eachResize(t, executor.Options{Workers: 2}, func(ex *resizable) {
		t := ex.t
		two := together(t, ex.Executor, ex.gate, "two", 2)
		ex.resize(1)
		eventually(t, func() bool { return ex.Stats().Workers == 1 }, "one worker is left")
		last := together(t, ex.Executor, ex.gate, "one", 1)
		require.Subset(t, two, last, "it is one of the two")

		started := ex.Stats().WorkersStarted
		ex.resize(1)
		require.Equal(t, last, together(t, ex.Executor, ex.gate, "same", 1), "the same size changes nothing")
		require.Equal(t, started, ex.Stats().WorkersStarted)

		ex.resize(2)
		require.Subset(t, together(t, ex.Executor, ex.gate, "grown", 2), last, "growing keeps what there is")
		require.Equal(t, started+1, ex.Stats().WorkersStarted)
		require.Zero(t, ex.Stats().WorkersKilled)
		eventually(t, func() bool { return ex.Stats().WorkersRetired == 1 }, "the other one was sent home")
		require.Empty(t, ex.warnings.all())
	})
}

func TestR2_resizeManyTimes(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	sizes := []int{12, 2, 1, 12, 6, 1, 8, 5}
	if testing.Short() {
		sizes = []int{4, 2, 1, 4}
	}
	for name, killing := range map[string]bool{"under load": false, "and kills": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachResize(t, executor.Options{Workers: 2}, func(ex *resizable) {
				resizeManyTimes(ex.t, ex, sizes, killing)
			})
		})
	}
}

// resizeManyTimes submits before and after each change of size, and may kill a
// worker as well.
func resizeManyTimes(t *testing.T, ex *resizable, sizes []int, killing bool) {
	t.Helper()
	const load = 20
	echo := echoFunc(t)
	var fs []*future
	var killed []int
	submit := func() {
		for range load {
			fs = append(fs, executor.Submit(t.Context(), ex.Executor, echo, []byte("load")))
		}
	}
	for _, n := range sizes {
		submit()
		ex.resize(n)
		submit()
		if f := fs[len(fs)-2*load]; killing {
			finished(t, f)
			if pid := f.Usage().PID; kill(pid) == nil { // unless it has been sent home
				killed = append(killed, pid)
			}
		}
	}
	for _, f := range fs {
		out, err := wait(t, f)
		if err == nil {
			require.Equal(t, "load", string(out))
			continue
		}
		require.True(t, killing, "%v", err)
		killedBy("SIGKILL")(t, err)
	}
	for _, pid := range killed {
		eventually(t, func() bool { return !exists(pid) }, "process %d is reaped", pid)
	}
	last := sizes[len(sizes)-1]
	eventually(t, func() bool { return ex.Stats().Workers <= last }, "at most %d workers are left", last)
	echoes(t, ex.Executor)
	if !killing {
		require.Empty(t, ex.warnings.all())
	}
}

func TestR3_killedAfterResize(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	for _, size := range []int{1, 2, 3} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			t.Parallel()
			ex, h := newHolder(t, executor.Options{Workers: 2})
			var fs []*future
			for range 2 {
				fs = append(fs, executor.Submit(t.Context(), ex, h.fn, nil))
				h.begun(t)
			}
			pending := executor.Submit(t.Context(), ex, echoFunc(t), []byte("pending"))
			returns(t, "Resize", func() { require.NoError(t, ex.Resize(size)) })
			for _, f := range fs {
				pid := running(t, f)
				require.NoError(t, kill(pid))
				_, err := wait(t, f)
				workerKilled(t, err, pid)
			}
			out, err := wait(t, pending)
			require.NoError(t, err)
			require.Equal(t, "pending", string(out))
			echoes(t, ex)
			s := ex.Stats()
			require.Equal(t, size, s.Limit)
			require.LessOrEqual(t, s.Workers, size)
		})
	}
}

func TestR4_resizeAfterIdleTimeout(t *testing.T) {
	t.Parallel()
	eachResize(t, executor.Options{Workers: 2, IdleTimeout: time.Millisecond}, func(ex *resizable) {
		t := ex.t
		for i, n := range []int{2, 8, 2} {
			ex.resize(n)
			together(t, ex.Executor, ex.gate, strconv.Itoa(i)+"/", n)
			eventually(t, func() bool { return ex.Stats().Workers == 0 }, "all have been idle for long")
		}
		require.EqualValues(t, 2+8+2, ex.Stats().WorkersStarted)
		eventually(t, func() bool { return ex.Stats().WorkersRetired == 2+8+2 }, "all of them were sent home")
		require.Empty(t, ex.warnings.all())
	})
}
