package parity_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/startmethod"
)

// pair is the input of the fixture's add.
type pair struct{ A, B int }

func TestE1_submit(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex := newExecutor(t, executor.Options{StartMethod: method})
		out, err := call(t, ex, echoFunc(t), []byte("value"))
		require.NoError(t, err)
		require.Equal(t, "value", string(out))
	})
	t.Run("typed", func(t *testing.T) {
		t.Parallel()
		ex := newExecutor(t, executor.Options{})
		sum, err := call(t, ex, executor.Func[[]int, int]{Module: fixture(t), Name: "sum"}, []int{162, 94, 0})
		require.NoError(t, err)
		require.Equal(t, 256, sum)
	})
}

// TestE2_namedArguments passes arguments by name: a struct, or a map, in any order.
func TestE2_namedArguments(t *testing.T) {
	t.Parallel()
	ex, m := newExecutor(t, executor.Options{}), fixture(t)
	sum, err := call(t, ex, executor.Func[pair, int]{Module: m, Name: "add"}, pair{B: 2, A: 40})
	require.NoError(t, err)
	require.Equal(t, 42, sum)
	sum, err = call(t, ex, executor.Func[struct{ B, A int }, int]{Module: m, Name: "add"}, struct{ B, A int }{2, 40})
	require.NoError(t, err)
	require.Equal(t, 42, sum)
	sum, err = call(t, ex, executor.Func[map[string]int, int]{Module: m, Name: "add"}, map[string]int{"B": 2})
	require.NoError(t, err)
	require.Equal(t, 2, sum, "what is not named is zero")
}

// zip makes pairs of two sequences, as far as the shorter reaches.
func zip(a, b iter.Seq[int]) iter.Seq[pair] {
	return func(yield func(pair) bool) {
		next, stop := iter.Pull(b)
		defer stop()
		for x := range a {
			if y, ok := next(); !ok || !yield(pair{x, y}) {
				return
			}
		}
	}
}

func TestE3_map(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex := newExecutor(t, executor.Options{StartMethod: method})
		for name, mapped := range mappings(t, ex, actFunc(t)) {
			require.Equal(t, []string{"a", "bc", "d", "e", "f"}, slices.Collect(mapped("a", "bc", "d", "e", "f")), name)
		}
	})
	t.Run("several iterables", func(t *testing.T) {
		t.Parallel()
		ex := newExecutor(t, executor.Options{})
		add := executor.Func[pair, int]{Module: fixture(t), Name: "add"}
		var sums []int
		for sum, err := range executor.Map(t.Context(), ex, add, zip(slices.Values([]int{1, 2, 3}), slices.Values([]int{10, 20, 30, 40}))) {
			require.NoError(t, err)
			sums = append(sums, sum)
		}
		require.Equal(t, []int{11, 22, 33}, sums)
	})
}

// mappings are the ways to map, with the results in the inputs' order. A failure is
// the text "error".
func mappings(t *testing.T, ex *executor.Executor, fn raw) map[string]func(texts ...string) iter.Seq[string] {
	t.Helper()
	text := func(out []byte, err error) string {
		if err == nil {
			return string(out)
		}
		require.ErrorIs(t, err, &executor.GuestError{Code: executor.CodeTrap})
		return "error"
	}
	return map[string]func(texts ...string) iter.Seq[string]{
		"Map": func(texts ...string) iter.Seq[string] {
			return func(yield func(string) bool) {
				for out, err := range executor.Map(t.Context(), ex, fn, inputs(texts...)) {
					if !yield(text(out, err)) {
						return
					}
				}
			}
		},
		"MapUnordered": func(texts ...string) iter.Seq[string] {
			results := make([]string, len(texts))
			for i, r := range executor.MapUnordered(t.Context(), ex, fn, inputs(texts...)) {
				results[i] += text(r.Value, r.Err) // a second result for an input would show
			}
			return slices.Values(results)
		},
	}
}

func TestE4_mapError(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex := newExecutor(t, executor.Options{StartMethod: method})
		for name, mapped := range mappings(t, ex, actFunc(t)) {
			require.Equal(t, []string{"one", "two", "error", "four"}, slices.Collect(mapped("one", "two", actTrap, "four")),
				"%s: the error is at its position, and the loop goes on", name)
		}
	})
}

func TestE5_mapTimeout(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex, h := newHolder(t, executor.Options{StartMethod: method})
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		var wg sync.WaitGroup
		defer wg.Wait()
		two := make(chan struct{}) // closed when two results are there
		wg.Go(func() {             // the deadline passes then, and when the third call runs
			<-h.lines
			<-two
			cancel(context.DeadlineExceeded)
		})
		var results []string
		for out, err := range executor.Map(ctx, ex, actFunc(t), inputs("0", "1", actHold)) {
			if err != nil {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				results = append(results, "timeout")
				continue
			}
			if results = append(results, string(out)); len(results) == 2 {
				close(two)
			}
		}
		require.Equal(t, []string{"0", "1", "timeout"}, results)
		s := ex.Stats()
		require.Zero(t, s.Running+s.Queued, "nothing of it goes on")
		echoes(t, ex)
	})
}

func TestE6_shutdownRace(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		for _, calls := range []int{1, 3, 5, 200} {
			ex := newExecutor(t, executor.Options{StartMethod: method})
			var fs []*future
			for i := range calls {
				fs = append(fs, executor.Submit(t.Context(), ex, echoFunc(t), fmt.Append(nil, i)))
			}
			returns(t, "Shutdown", func() { require.NoError(t, ex.Shutdown(t.Context())) })
			done, pending := waits(t, executor.AllCompleted, fs...)
			require.Len(t, done, calls)
			require.Empty(t, pending)
			for _, f := range fs {
				require.NoError(t, f.Err())
			}
		}
	})
}

func TestE7_inputsAreReleased(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	type object struct{ Text string }
	var (
		texts   weak.Pointer[byte]
		objects weak.Pointer[object]
		fs      []*future
	)
	func() {
		in := make([]byte, 1<<16)
		texts = weak.Make(&in[0])
		fs = append(fs, executor.Submit(t.Context(), ex, echoFunc(t), in))
		o := &object{Text: "kept by nobody"}
		objects = weak.Make(o)
		upper := executor.Func[*object, []byte]{Module: fixture(t), Name: "upper"}
		_, err := call(t, ex, upper, o)
		require.Error(t, err, "upper takes a string; the object was sent all the same")
	}()
	out, err := wait(t, fs[0])
	require.NoError(t, err)
	require.Len(t, out, 1<<16)
	require.Eventually(t, func() bool {
		runtime.GC()
		return texts.Value() == nil && objects.Value() == nil
	}, hang, time.Millisecond, "a call that is done still holds its input")
	runtime.KeepAlive(fs)
	runtime.KeepAlive(ex)
}

func TestE8_invalidWorkers(t *testing.T) {
	t.Parallel()
	for _, n := range []int{-1, -1000, 2001} {
		_, err := executor.New(&executor.Options{Workers: n})
		oe, ok := errors.AsType[*executor.OptionError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, "Options.Workers", oe.Option)
		require.ErrorContains(t, err, strconv.Itoa(n))
	}
	o := options(t, executor.Options{})
	o.Workers = 0
	ex, err := executor.New(&o)
	require.NoError(t, err)
	require.Equal(t, executor.CPUCount(), ex.Stats().Limit, "zero is the default here")
	require.NoError(t, ex.Close())
}

func TestE11_batches(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		texts := make([]string, 100)
		for i := range texts {
			texts[i] = strconv.Itoa(i)
		}
		texts[7], texts[50] = actTrap, actTrap
		want := slices.Clone(texts)
		want[7], want[50] = "error", "error"
		for _, batch := range []int{-1, 1, 6, 40, 50, 256} {
			ex := newExecutor(t, executor.Options{StartMethod: method, Batch: batch})
			for name, mapped := range mappings(t, ex, actFunc(t)) {
				require.Equal(t, want, slices.Collect(mapped(texts...)), "%s in batches of %d", name, batch)
			}
		}
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		_, err := executor.New(&executor.Options{Batch: 257})
		oe, ok := errors.AsType[*executor.OptionError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, "Options.Batch", oe.Option)
	})
}

func TestE13_threadSafety(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex := newExecutor(t, executor.Options{StartMethod: method})
		act, ctx := actFunc(t), t.Context()
		const users = 10
		errs := make(chan error, users)
		for user := range users {
			go func() { errs <- use(ctx, ex, act, user) }()
		}
		for range users {
			select {
			case err := <-errs:
				require.NoError(t, err)
			case <-time.After(hang):
				t.Fatal("a user of the executor hangs")
			}
		}
		s := ex.Stats()
		require.Equal(t, s.Submitted, s.Succeeded+s.Failed, "every call has ended once")
		require.Zero(t, s.Running+s.Queued)
		require.Zero(t, s.WorkersDied)
		echoes(t, ex)
	})
}

// use is one of several goroutines that map, submit and cancel at once.
func use(ctx context.Context, ex *executor.Executor, act raw, user int) error {
	random := rand.New(rand.NewPCG(1, uint64(user)))
	for round := range 20 {
		text := fmt.Sprintf("%d/%d", user, round)
		switch random.IntN(3) {
		case 0:
			i := 0
			for out, err := range executor.Map(ctx, ex, act, inputs(text, text, text)) {
				if err != nil || string(out) != text {
					return fmt.Errorf("map: %s became %s: %w", text, out, err)
				}
				i++
			}
			if i != 3 {
				return fmt.Errorf("map yielded %d results of 3", i)
			}
		case 1:
			out, err := executor.Submit(ctx, ex, act, []byte(text)).Wait(ctx)
			if err != nil || string(out) != text {
				return fmt.Errorf("submit: %s became %s: %w", text, out, err)
			}
		default:
			f := executor.Submit(ctx, ex, act, []byte(text))
			found := f.Cancel()
			out, err := f.Wait(ctx)
			if cancelled := errors.Is(err, context.Canceled); cancelled == (found == executor.Done) || !cancelled && string(out) != text {
				return fmt.Errorf("cancel found %v and the call ended with %q, %w", found, out, err)
			}
		}
	}
	return nil
}

func TestE14_submitFromCallback(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex, echo, ctx := newExecutor(t, executor.Options{StartMethod: method}), echoFunc(t), t.Context()
		chains := []int{100, 50, 60}
		ended := make(chan error, len(chains))
		collected := make([][]int, len(chains))
		for i, length := range chains {
			var submit func(count int)
			submit = func(count int) {
				executor.Submit(ctx, ex, echo, strconv.AppendInt(nil, int64(count), 10)).OnDone(func(f *future) {
					out, err := f.Wait(ctx)
					if err != nil {
						ended <- err
						return
					}
					got, err := strconv.Atoi(string(out))
					collected[i] = append(collected[i], got)
					if err != nil || got == 0 {
						ended <- err
						return
					}
					submit(got - 1)
				})
			}
			submit(length)
		}
		for range chains {
			select {
			case err := <-ended:
				require.NoError(t, err)
			case <-time.After(hang):
				t.Fatal("a chain of callbacks hangs")
			}
		}
		for i, length := range chains {
			var want []int
			for n := length; n >= 0; n-- {
				want = append(want, n)
			}
			require.Equal(t, want, collected[i])
		}
	})
}

func TestE15_idleTimeout(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex, g := newGate(t, executor.Options{StartMethod: method, IdleTimeout: 10 * time.Millisecond})
		for round := range 5 {
			var fs []*future
			var pids []int
			for i := range 2 {
				fs = append(fs, executor.Submit(t.Context(), ex, g.fn, fmt.Appendf(nil, "%d/%d", round, i)))
				g.begun(t)
				pids = append(pids, running(t, fs[i]))
			}
			for i, f := range fs {
				in := fmt.Sprintf("%d/%d", round, i)
				g.open(in)
				out, err := wait(t, f)
				require.NoError(t, err)
				require.Equal(t, in, string(out))
			}
			processGone(t, pids...)
			require.Zero(t, ex.Stats().Workers)
		}
		require.NoError(t, ex.Close()) // the books are closed when it returns
		s := ex.Stats()
		require.EqualValues(t, 10, s.WorkersStarted)
		require.EqualValues(t, 10, s.WorkersRetired)
		require.Zero(t, s.WorkersDied+s.WorkersKilled)
	})
}

func TestE18_largeData(t *testing.T) {
	t.Parallel()
	size := 64 << 20
	if testing.Short() {
		size = 8 << 20
	}
	const over = 1 << 10
	ex := newExecutor(t, executor.Options{Workers: 1, Limits: executor.Limits{Input: int64(size)}})
	in := make([]byte, size, size+over)
	in[0], in[size/2], in[size-1] = 1, 2, 3
	out, err := call(t, ex, echoFunc(t), in)
	require.NoError(t, err)
	require.Len(t, out, size)
	require.True(t, bytes.Equal(in, out))

	_, err = call(t, ex, echoFunc(t), in[:size+over])
	le, ok := errors.AsType[*executor.LimitError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, executor.LimitError{Limit: "input", Max: int64(size), Used: int64(size + over)}, *le)
	require.ErrorContains(t, err, "limit input exceeded")
	require.Zero(t, ex.Stats().WorkersDied)
	echoes(t, ex)
}

func TestE20_workerEnvironment(t *testing.T) {
	t.Parallel()
	o, env := withEnviron(t, executor.Options{Workers: 2, Env: []string{"CHILD_VALUE=1", "OTHER=a=b"}})
	ex, g := newGate(t, o)
	_, pids := busy(t, ex, g, 2)
	for _, pid := range pids {
		require.Equal(t, "1", env.of(t, pid)["CHILD_VALUE"])
		require.Equal(t, "a=b", env.of(t, pid)["OTHER"])
	}
	out, err := call(t, newExecutor(t, o), environFunc(t), nil)
	require.NoError(t, err)
	require.Equal(t, make([]byte, 8), out, "guests see none of it")
}
