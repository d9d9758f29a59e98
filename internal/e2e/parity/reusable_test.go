package parity_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

// refused checks for an error that names the option.
func refused(t *testing.T, err error, option, text string) {
	t.Helper()
	oe, ok := errors.AsType[*executor.OptionError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, option, oe.Option)
	require.ErrorContains(t, err, text)
}

func TestG1_numberOfWorkers(t *testing.T) {
	t.Parallel()
	r := newReusable(t)
	ex, err := r.Get(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, executor.CPUCount(), ex.Stats().Limit, "the default")
	other := newReusable(t)
	ex, err = other.Get(t.Context(), &executor.Options{Workers: 0})
	require.NoError(t, err)
	require.Equal(t, executor.CPUCount(), ex.Stats().Limit, "zero is the default")

	ex = get(t, r, executor.Options{Workers: 2})
	before := ex.Stats()
	for _, n := range []int{-1, -100, 2001} {
		_, err := r.Get(t.Context(), &executor.Options{Workers: n})
		refused(t, err, "Options.Workers", strconv.Itoa(n))
		_, err = executor.New(&executor.Options{Workers: n})
		refused(t, err, "Options.Workers", strconv.Itoa(n))
	}
	for _, n := range []int{0, -1, 2001} {
		err := ex.Resize(n)
		oe, ok := errors.AsType[*executor.OptionError](err)
		require.True(t, ok, "Resize(%d): %v", n, err)
		require.Contains(t, oe.Reason, strconv.Itoa(n))
	}
	after := ex.Stats()
	require.Equal(t, before.ID, after.ID, "what is refused changes nothing")
	require.Equal(t, before.Limit, after.Limit)
	echoes(t, ex)
}

func TestG2_startMethodByName(t *testing.T) {
	t.Parallel()
	names := map[string]startmethod.Method{"spawn": startmethod.Fresh, "loky": startmethod.Precompiled}
	for _, name := range []string{"fork", "forkserver"} {
		if names[name] = startmethod.Snapshot; runtime.GOOS == "windows" {
			delete(names, name)
			_, err := startmethod.Parse(name)
			require.ErrorContains(t, err, name, "as in loky")
		}
	}
	for name, want := range names {
		method, err := startmethod.Parse(name)
		require.NoError(t, err, name)
		require.Equal(t, want, method)
		require.Equal(t, want, usedMethod(t, get(t, newReusable(t), executor.Options{StartMethod: method}), echoFunc(t)), name)
	}
	_, err := startmethod.Parse("sideways")
	require.ErrorContains(t, err, "sideways")
	r := newReusable(t)
	value := raw{Module: setupGuest(t), Name: "value"}
	for _, name := range []string{"loky_init_main", "loky_int_main"} {
		method, err := startmethod.Parse(name)
		require.NoError(t, err, name)
		_, err = r.Get(t.Context(), &executor.Options{StartMethod: method})
		refused(t, err, "Options.Initializer", "loky_init_main")
		ex := get(t, newReusable(t), executor.Options{StartMethod: method, Initializer: executor.Initializer{Name: "setup", Input: []byte("one")}})
		require.Equal(t, startmethod.Precompiled, usedMethod(t, ex, value), name)
	}
	_, err = r.Get(t.Context(), &executor.Options{StartMethod: "sideways"})
	refused(t, err, "Options.StartMethod", "sideways")
	_, err = executor.New(&executor.Options{StartMethod: "sideways"})
	refused(t, err, "Options.StartMethod", "sideways")
}

// autoProgram builds a program whose main knows nothing of workers: it has
// imported wasmworker/auto.
func autoProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "auto.exe")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../testdata/auto").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

func TestG3_mainWithoutGuard(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), autoProgram(t), moduleFile(t, guesttest.TinyEcho())).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "main runs\nechoed\n", string(out), "main runs in the host and nowhere else")
}

func TestG4_reusedOrNot(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	r := newReusable(t)
	o := executor.Options{Workers: 1, CrashPolicy: executor.Break, Env: []string{"A=1", "B=2"}}
	generation := func() uint64 { return get(t, r, o).Stats().ID }
	require.EqualValues(t, 1, generation())
	require.EqualValues(t, 1, generation(), "equal options")
	o.Env = []string{"A=1", "B=2"}
	require.EqualValues(t, 1, generation(), "equal by value")

	ex := get(t, r, o)
	require.NoError(t, ex.Close())
	require.EqualValues(t, 2, generation(), "not after Close")
	require.NoError(t, get(t, r, o).Shutdown(t.Context()))
	require.EqualValues(t, 3, generation(), "nor after Shutdown")

	f := executor.Submit(t.Context(), get(t, r, o), echoFunc(t), nil)
	_, err := wait(t, f)
	require.NoError(t, err)
	require.NoError(t, kill(f.Usage().PID))
	eventually(t, func() bool { return generation() == 4 }, "nor when it is broken")
	echoes(t, ex)
	require.EqualValues(t, 4, generation())
}

func TestG5_functionRedefined(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex := get(t, newReusable(t), executor.Options{Workers: 1, StartMethod: method})
		pids := make(map[int]bool)
		says := func(fn raw, want string) {
			t.Helper()
			f := executor.Submit(t.Context(), ex, fn, nil)
			out, err := wait(t, f)
			require.NoError(t, err)
			require.Equal(t, want, string(out))
			pids[f.Usage().PID] = true
		}
		first := answerFunc(t, "greet", "good morning")
		says(first, "good morning")
		second := answerFunc(t, "greet", "good night")
		require.NotEqual(t, first.Module.Digest(), second.Module.Digest())
		says(second, "good night")
		says(first, "good morning")
		require.Len(t, pids, 1, "in a worker that lives on")
	})
}

// TestG6_functionsThatLookAlike has two modules that differ in one constant, and
// declares their functions pure: neither code nor results may be mixed up.
func TestG6_functionsThatLookAlike(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex := get(t, newReusable(t), executor.Options{Workers: 1, StartMethod: method})
		adds := func(n string) raw {
			fn := answerFunc(t, "adds", n)
			fn.Pure = true
			return fn
		}
		one, two := adds("1"), adds("2")
		var fs []*future
		for range 20 {
			fs = append(fs, executor.Submit(t.Context(), ex, one, nil), executor.Submit(t.Context(), ex, two, nil))
		}
		for i, f := range fs {
			out, err := wait(t, f)
			require.NoError(t, err)
			require.Equal(t, strconv.Itoa(i%2+1), string(out))
		}
	})
}

// nestedShared submits to the shared executor from a host function of the shared
// executor, down to the depth in its second argument, and leaves main.
var nestedShared = newHost("nested shared", func() {
	var o *executor.Options
	down := hostFunc("hostcall")
	down.Grants.Host = []string{"down"}
	submit := func(ctx context.Context, in []byte) ([]byte, error) {
		shared, err := executor.Shared(o)
		if err != nil {
			return nil, err
		}
		return executor.Submit(ctx, shared, down, in).Wait(ctx)
	}
	host := must(executor.NewHostModule(executor.HostFunc("down", func(ctx context.Context, in []byte) ([]byte, error) {
		depth := must(strconv.Atoi(string(in)))
		if depth == 0 {
			return []byte("bottom"), nil
		}
		out, err := submit(ctx, fmt.Append(nil, depth-1))
		return fmt.Appendf(nil, "%d %s", depth, out), err
	})))
	o = hostOptions(executor.Options{Workers: must(strconv.Atoi(os.Args[3])), Host: host})
	fmt.Printf("%s\n", must(submit(context.Background(), []byte(os.Args[2]))))
})

func TestG7_nestedSharedExecutors(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2} {
		t.Run(strconv.Itoa(workers), func(t *testing.T) {
			t.Parallel()
			cmd := nestedShared.command(t, moduleFile(t, guesttest.TinyHostCall("down")), "3", strconv.Itoa(workers))
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			start := time.Now()
			out, err := cmd.Output()
			require.NoError(t, err, "%s", stderr.Bytes())
			require.Less(t, time.Since(start), 30*time.Second)
			require.Equal(t, "3 2 1 bottom\n", string(out))
			require.Empty(t, stderr.String())
		})
	}
}

// TestG8_standardErrors handles what calls end with by means of the standard
// library alone, and waits for futures among other things that get done.
func TestG8_standardErrors(t *testing.T) {
	t.Parallel()
	ex, h := newHolder(t, executor.Options{Workers: 1})
	reason := errors.New("a reason")
	hold := func(ctx context.Context) *future {
		f := executor.Submit(ctx, ex, h.fn, nil)
		h.begun(t)
		return f
	}

	f := hold(t.Context())
	require.Equal(t, executor.Running, f.Cancel())
	_, err := wait(t, f)
	require.ErrorIs(t, err, context.Canceled)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = wait(t, executor.Submit(ctx, ex, h.fn, nil))
	require.ErrorIs(t, err, context.DeadlineExceeded)

	causal, fail := context.WithCancelCause(t.Context())
	f = hold(causal)
	fail(reason)
	_, err = wait(t, f)
	require.ErrorIs(t, err, reason)

	// Futures of several types and a thing of the test's own.
	own := &awaited{done: make(chan struct{})}
	text := executor.Submit(t.Context(), ex, answering[string](t), nil)
	finished(t, text)
	done, pending, err := executor.Wait[executor.Awaitable](t.Context(), executor.FirstCompleted, own, text)
	require.NoError(t, err)
	require.Equal(t, []int{1}, done)
	require.Equal(t, []int{0}, pending)
	own.err = reason
	close(own.done)
	done, _, err = executor.Wait[executor.Awaitable](t.Context(), executor.FirstFailed, text, f, own)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1, 2}, done)
}

// awaited is an Awaitable that is no future.
type awaited struct {
	done chan struct{}
	err  error // set before done is closed
}

func (a *awaited) Done() <-chan struct{} { return a.done }

func (a *awaited) Err() error {
	select {
	case <-a.done:
		return a.err
	default:
		return nil
	}
}

func TestG9_concurrentGets(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	for name, tc := range map[string]struct{ varying, broken bool }{
		"constant size":                  {false, false},
		"varying size":                   {true, false},
		"constant size, broken at first": {false, true},
		"varying size, broken at first":  {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, echo := newReusable(t), echoFunc(t)
			o := options(t, executor.Options{Workers: 2, CrashPolicy: executor.Break})
			if tc.broken {
				ex := get(t, r, o)
				f := executor.Submit(t.Context(), ex, echo, nil)
				finished(t, f)
				require.NoError(t, kill(f.Usage().PID))
				processGone(t, f.Usage().PID)
				eventually(t, func() bool { s := ex.Stats(); return s.WorkersDied == 1 || s.ID > 1 }, "the death is known")
			}
			const threads, rounds = 10, 5
			concurrently(t, threads, func(i int) error {
				o := o
				for round := range rounds {
					if tc.varying {
						o.Workers = 1 + (i+round)%4
					}
					ex, err := r.Get(t.Context(), &o)
					if err != nil {
						return err
					}
					if err := served(t.Context(), ex, echo, fmt.Sprint(i, round)); err != nil {
						return err
					}
				}
				return nil
			})
			s := get(t, r, o).Stats()
			if tc.broken {
				require.EqualValues(t, 2, s.ID, "one executor for all, after the broken one")
			} else {
				require.EqualValues(t, 1, s.ID, "one executor for all")
			}
		})
	}
}

// TestG10_submitWhileReplaced submits to handles whose executor is replaced or
// shut down all the time.
func TestG10_submitWhileReplaced(t *testing.T) {
	t.Parallel()
	rounds := 30
	if testing.Short() {
		rounds = 10
	}
	r, echo := newReusable(t), echoFunc(t)
	o := executor.Options{Workers: 2}
	ex := get(t, r, o)
	over := make(chan struct{})
	const submitters = 4
	concurrently(t, submitters+1, func(i int) error {
		if i == submitters {
			defer close(over)
			for round := range rounds {
				if round%3 == 2 {
					if err := ex.Shutdown(t.Context()); err != nil {
						return err
					}
				}
				o := options(t, o)
				o.Retries = 1 + round%2
				if _, err := r.Get(t.Context(), &o); err != nil {
					return err
				}
			}
			return nil
		}
		for n := 0; ; n++ {
			select {
			case <-over:
				return nil
			default:
			}
			if err := served(t.Context(), ex, echo, fmt.Sprint(i, n)); err != nil {
				return err
			}
		}
	})
	require.GreaterOrEqual(t, ex.Stats().ID, uint64(rounds))
	echoes(t, ex)
}

func TestG11_environmentChanges(t *testing.T) {
	t.Parallel()
	gets := 20
	if testing.Short() {
		gets = 6
	}
	base, env := withEnviron(t, executor.Options{Workers: 1})
	// Each entry is there twice, so that two environments that are mixed show.
	variant := func(i int) executor.Options {
		o := options(t, base)
		o.Env = append([]string{fmt.Sprintf("VARIANT=%d", i), fmt.Sprintf("AGAIN=%d", i)}, base.Env...)
		return o
	}
	t.Run("one after another", func(t *testing.T) {
		t.Parallel()
		r := newReusable(t)
		for i := range gets / 2 {
			ex := get(t, r, variant(i))
			f := executor.Submit(t.Context(), ex, echoFunc(t), nil)
			_, err := wait(t, f)
			require.NoError(t, err)
			got := env.of(t, f.Usage().PID)
			require.Equal(t, strconv.Itoa(i), got["VARIANT"])
			require.Equal(t, strconv.Itoa(i), got["AGAIN"])
		}
	})
	t.Run("at once", func(t *testing.T) {
		t.Parallel()
		r, echo := newReusable(t), echoFunc(t)
		pids := make([]int, gets)
		concurrently(t, min(gets, 10), func(thread int) error {
			for i := thread; i < gets; i += 10 {
				o := variant(i)
				ex, err := r.Get(t.Context(), &o)
				if err != nil {
					return err
				}
				f := executor.Submit(t.Context(), ex, echo, nil)
				if _, err := f.Wait(t.Context()); err != nil {
					return fmt.Errorf("call of environment %d: %w", i, err)
				}
				pids[i] = f.Usage().PID
			}
			return nil
		})
		for _, pid := range pids {
			got := env.of(t, pid)
			require.Contains(t, got, "VARIANT", "some environment, if another's that was there first")
			require.Equal(t, got["VARIANT"], got["AGAIN"])
		}
	})
}

func TestG12_getWithoutOptions(t *testing.T) {
	t.Parallel()
	r := newReusable(t)
	o := executor.Options{Workers: 3, IdleTimeout: time.Millisecond}
	ex := get(t, r, o)
	same, err := r.Get(t.Context(), nil)
	require.NoError(t, err)
	s := same.Stats()
	require.EqualValues(t, 1, s.ID)
	require.Equal(t, 3, s.Limit, "it keeps the size")
	echoes(t, same)
	eventually(t, func() bool { return same.Stats().Workers == 0 }, "and the idle timeout")
	require.EqualValues(t, 1, get(t, r, o).Stats().ID)
	require.NoError(t, ex.Resize(2))
	same, err = r.Get(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, 2, same.Stats().Limit)

	fresh, err := newReusable(t).Get(t.Context(), nil)
	require.NoError(t, err)
	s = fresh.Stats()
	require.EqualValues(t, 1, s.ID)
	require.Equal(t, executor.CPUCount(), s.Limit, "the default executor")
	require.Zero(t, s.WorkersStarted)
}
