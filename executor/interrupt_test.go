package executor_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// limited is the guest that reaches limits.
func limited(t *testing.T) raw {
	t.Helper()
	return raw{Module: tiny(t, "limits", guesttest.TinyLimits(false, false)), Name: "limits"}
}

// waiting is a host with a function that waits for its context's end, and longer if
// stubborn is open.
func waiting(began chan<- struct{}, stubborn <-chan struct{}) *executor.HostModule {
	m, err := executor.NewHostModule(executor.HostFunc("wait", func(ctx context.Context, _ []byte) ([]byte, error) {
		if began != nil {
			began <- struct{}{}
		}
		<-ctx.Done()
		if stubborn != nil {
			<-stubborn
		}
		return nil, context.Cause(ctx)
	}))
	if err != nil {
		panic(err) // the names are constants
	}
	return m
}

// patient returns an executor whose workers are never killed for being slow to stop.
func patient(t *testing.T, o executor.Options) *executor.Executor {
	t.Helper()
	ex := newExecutor(t, o)
	executor.SetStopGrace(ex, hang)
	return ex
}

// counted checks that a call's instance was one that n calls, this one included, have
// used.
func counted(t *testing.T, ex *executor.Executor, fn raw, n uint32) executor.Usage {
	t.Helper()
	f := executor.Submit(t.Context(), ex, fn, []byte{guesttest.LimitsCount})
	out, err := f.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, n, binary.LittleEndian.Uint32(out))
	return f.Usage()
}

// limitError returns the error of a call, a limit's.
func limitError(t *testing.T, err error, limit string) *executor.LimitError {
	t.Helper()
	le, ok := errors.AsType[*executor.LimitError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, limit, le.Limit, "%v", err)
	require.Positive(t, le.Max)
	return le
}

var allMethods = []startmethod.Method{startmethod.Fresh, startmethod.Precompiled, startmethod.Snapshot, startmethod.Warm}

// TestInterrupt_wall ends calls of every kind, and has the same worker serve a good one
// right after, in a clean instance.
func TestInterrupt_wall(t *testing.T) {
	t.Parallel()
	for _, method := range allMethods {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			ex := patient(t, executor.Options{Workers: 1, Host: waiting(nil, nil)})
			fn := limited(t)
			fn.StartMethod, fn.Grants.Host = method, []string{"wait"}
			pid := counted(t, ex, fn, 1).PID
			for name, what := range map[string]byte{
				"loop": guesttest.LimitsSpin, "memory.grow": guesttest.LimitsGrow, "sleep": guesttest.LimitsSleep,
				"host function": guesttest.LimitsHost, "host functions": guesttest.LimitsHosts, "calls": guesttest.LimitsTail,
				"memory.fill": guesttest.LimitsFill,
			} {
				short := fn
				short.Limits.Wall = 30 * time.Millisecond
				_, err := call(t, ex, short, []byte{what})
				le := limitError(t, err, "wall")
				require.Equal(t, int64(30*time.Millisecond), le.Max, name)
				require.GreaterOrEqual(t, le.Used, le.Max, name)
				u := counted(t, ex, fn, 1)
				require.Equal(t, pid, u.PID, name)
				require.Equal(t, method, u.StartMethod, u.Fallback)
				require.Empty(t, u.KillOnly)
			}
			require.Zero(t, ex.Stats().WorkersKilled)
			require.Zero(t, ex.Stats().WorkersDied)
		})
	}
}

// TestInterrupt_goGuest ends calls of a Go guest, also while it runs its garbage
// collector or sleeps in its scheduler.
func TestInterrupt_goGuest(t *testing.T) {
	t.Parallel()
	ex := patient(t, executor.Options{Workers: 1, Host: waiting(nil, nil)})
	m := fixture(t)
	type none = struct{}
	echo := echoFunc(t)
	_, err := call(t, ex, echo, []byte("x"))
	require.NoError(t, err)
	for range 3 {
		_, err := call(t, ex, executor.Func[none, none]{Module: m, Name: "spin", Limits: executor.Limits{Wall: 50 * time.Millisecond}}, none{})
		limitError(t, err, "wall")
		_, err = call(t, ex, executor.Func[int, none]{Module: m, Name: "sleep", Limits: executor.Limits{Wall: 50 * time.Millisecond}}, 3600_000)
		limitError(t, err, "wall")
		out, err := call(t, ex, echo, []byte("x"))
		require.NoError(t, err)
		require.Equal(t, "x", string(out))
	}
	require.Zero(t, ex.Stats().WorkersKilled)
}

// TestInterrupt_cancel has the worker of a cancelled call live on.
func TestInterrupt_cancel(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	ex := patient(t, executor.Options{Workers: 1, Host: waiting(began, nil)})
	fn := limited(t)
	fn.Grants.Host = []string{"wait"}
	pid := counted(t, ex, fn, 1).PID
	for _, byContext := range []bool{false, true} {
		for _, what := range []byte{guesttest.LimitsHost, guesttest.LimitsSpin, guesttest.LimitsSleep} {
			ctx, cancel := context.WithCancelCause(t.Context())
			f := executor.Submit(ctx, ex, fn, []byte{what})
			if what == guesttest.LimitsHost {
				<-began
			} else {
				require.Eventually(t, func() bool { return f.State() == executor.Running }, hang, time.Millisecond)
			}
			if byContext {
				cancel(errors.New("enough"))
			} else {
				require.Equal(t, executor.Running, f.Cancel())
			}
			_, err := f.Wait(t.Context())
			if byContext {
				require.EqualError(t, err, "enough")
			} else {
				require.ErrorIs(t, err, context.Canceled)
			}
			cancel(nil)
			require.Equal(t, pid, counted(t, ex, fn, 1).PID)
		}
	}
	require.Zero(t, ex.Stats().WorkersKilled)
}

// TestInterrupt_stubbornHost does not wait for a host function that does not return.
func TestInterrupt_stubbornHost(t *testing.T) {
	t.Parallel()
	began, release := make(chan struct{}, 1), make(chan struct{})
	defer close(release)
	ex := patient(t, executor.Options{Workers: 1, Host: waiting(began, release)})
	fn := limited(t)
	fn.Grants.Host = []string{"wait"}
	short := fn
	short.Limits.Wall = 30 * time.Millisecond
	_, err := call(t, ex, short, []byte{guesttest.LimitsHost})
	limitError(t, err, "wall")
	counted(t, ex, fn, 1)
	require.Zero(t, ex.Stats().WorkersKilled)
}

// TestInterrupt_initializer ends what comes before the call: a start function and
// _initialize, under each method.
func TestInterrupt_initializer(t *testing.T) {
	t.Parallel()
	for name, wasm := range map[string][]byte{
		"start": guesttest.TinyLimits(true, false), "_initialize": guesttest.TinyLimits(false, true),
	} {
		for _, method := range allMethods {
			t.Run(name+"/"+string(method), func(t *testing.T) {
				t.Parallel()
				ex := patient(t, executor.Options{Workers: 1, Limits: executor.Limits{Wall: 50 * time.Millisecond}})
				executor.SetCaptureTime(ex, 50*time.Millisecond)
				fn := raw{Module: tiny(t, name, wasm), Name: "limits", StartMethod: method}
				for range 3 {
					_, err := call(t, ex, fn, nil)
					limitError(t, err, "wall")
				}
				require.Zero(t, ex.Stats().WorkersKilled)
				require.EqualValues(t, 1, ex.Stats().WorkersStarted)
			})
		}
	}
}

// TestInterrupt_stack stops a recursion before the stack is large.
func TestInterrupt_stack(t *testing.T) {
	t.Parallel()
	for _, method := range allMethods {
		ex := patient(t, executor.Options{Workers: 1})
		fn := limited(t)
		fn.StartMethod = method
		pid := counted(t, ex, fn, 1).PID
		for _, stack := range []int64{0, 100} {
			deep := fn
			deep.Limits.Stack = stack
			_, err := call(t, ex, deep, []byte{guesttest.LimitsRecurse})
			le := limitError(t, err, "stack")
			if stack == 0 {
				stack = 10_000
			}
			require.Equal(t, &executor.LimitError{Limit: "stack", Max: stack, Used: stack + 1}, le)
			require.Equal(t, pid, counted(t, ex, fn, 1).PID)
		}
		off := fn
		off.Limits.Stack = -1
		_, err := call(t, ex, off, []byte{guesttest.LimitsRecurse})
		require.ErrorContains(t, err, "Limits.Stack", "more than the executor allows")
		require.Zero(t, ex.Stats().WorkersKilled)
	}
	ex := patient(t, executor.Options{Workers: 1, Limits: executor.Limits{Stack: -1}})
	_, err := call(t, ex, limited(t), []byte{guesttest.LimitsRecurse})
	le := limitError(t, err, "stack")
	require.Less(t, le.Used, le.Max, "the engine's own limit")
	counted(t, ex, limited(t), 1)
}

// TestInterrupt_fuel counts the same under every method, in every worker, and stops at
// the same place.
func TestInterrupt_fuel(t *testing.T) {
	t.Parallel()
	var want int64
	var used int64
	for i, method := range append(allMethods, startmethod.Snapshot) {
		ex := patient(t, executor.Options{Workers: 1 + i%2})
		fn := limited(t)
		fn.StartMethod, fn.Meter = method, true
		for range 3 {
			f := executor.Submit(t.Context(), ex, fn, []byte{guesttest.LimitsWork})
			_, err := f.Wait(t.Context())
			require.NoError(t, err)
			u := f.Usage()
			require.Greater(t, u.Fuel, int64(700_000))
			require.Positive(t, u.CPU)
			if want == 0 {
				want = u.Fuel
			}
			require.Equal(t, want, u.Fuel, method)
		}
		enough, short := fn, fn
		enough.Limits.Fuel, short.Limits.Fuel = want, want-1
		_, err := call(t, ex, enough, []byte{guesttest.LimitsWork})
		require.NoError(t, err)
		_, err = call(t, ex, short, []byte{guesttest.LimitsWork})
		limitError(t, err, "fuel")
		for _, what := range []byte{guesttest.LimitsSpin, guesttest.LimitsTail, guesttest.LimitsFill, guesttest.LimitsGrow} {
			short.Limits.Fuel = 10_000
			f := executor.Submit(t.Context(), ex, short, []byte{what})
			_, err = f.Wait(t.Context())
			le := limitError(t, err, "fuel")
			require.EqualValues(t, 10_000, le.Max)
			require.Greater(t, le.Used, le.Max)
			require.Equal(t, le.Used, f.Usage().Fuel)
			if what == guesttest.LimitsSpin {
				if used == 0 {
					used = le.Used
				}
				require.Equal(t, used, le.Used, method)
			}
		}
		counted(t, ex, fn, 1+map[startmethod.Method]uint32{}[method])
		require.Zero(t, ex.Stats().WorkersKilled)
	}
	ex := newExecutor(t, executor.Options{Workers: 1})
	f := executor.Submit(t.Context(), ex, limited(t), []byte{guesttest.LimitsWork})
	_, err := f.Wait(t.Context())
	require.NoError(t, err)
	require.Zero(t, f.Usage().Fuel, "nobody has asked")
}

// TestInterrupt_cpu tells time that is used from time that passes.
func TestInterrupt_cpu(t *testing.T) {
	t.Parallel()
	ex := patient(t, executor.Options{Workers: 1})
	fn := limited(t)
	fn.Meter = true
	pid := counted(t, ex, fn, 1).PID
	spin := fn
	spin.Limits.CPU = 20 * time.Millisecond
	_, err := call(t, ex, spin, []byte{guesttest.LimitsSpin})
	le := limitError(t, err, "cpu")
	require.Equal(t, int64(20*time.Millisecond), le.Max)
	require.GreaterOrEqual(t, le.Used, le.Max)
	nap := fn
	nap.Limits.CPU = 15 * time.Millisecond
	f := executor.Submit(t.Context(), ex, nap, []byte{guesttest.LimitsNap})
	_, err = f.Wait(t.Context())
	require.NoError(t, err, "it has slept for longer than that")
	require.Less(t, f.Usage().CPU, f.Usage().Run)
	require.Equal(t, pid, counted(t, ex, fn, 1).PID)
}

// TestInterrupt_print bounds each stream by itself.
func TestInterrupt_print(t *testing.T) {
	t.Parallel()
	ex := patient(t, executor.Options{Workers: 1, Limits: executor.Limits{Stderr: 100_000}})
	fn := limited(t)
	_, err := call(t, ex, fn, []byte{guesttest.LimitsPrint})
	require.EqualValues(t, 1<<20, limitError(t, err, "stdout").Max)
	_, err = call(t, ex, fn, []byte{guesttest.LimitsError})
	require.EqualValues(t, 100_000, limitError(t, err, "stderr").Max)
	counted(t, ex, fn, 1)
	require.Zero(t, ex.Stats().WorkersKilled)
}

// TestInterrupt_killOnly kills as it always did.
func TestInterrupt_killOnly(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, Interrupt: executor.KillOnly})
	fn := limited(t)
	pid := counted(t, ex, fn, 1).PID
	short := fn
	short.Limits.Wall = 30 * time.Millisecond
	_, err := call(t, ex, short, []byte{guesttest.LimitsSpin})
	limitError(t, err, "wall")
	require.NotEqual(t, pid, counted(t, ex, fn, 1).PID)
	_, err = call(t, ex, fn, []byte{guesttest.LimitsRecurse})
	require.ErrorIs(t, err, &executor.GuestError{Code: executor.CodeTrap})
	fn.Limits.Fuel = 1000
	_, err = call(t, ex, fn, []byte{guesttest.LimitsSpin})
	limitError(t, err, "fuel")
}

// TestInterrupt_reserved has a module that cannot be instrumented run all the same.
func TestInterrupt_reserved(t *testing.T) {
	t.Parallel()
	g := guesttest.NewTiny()
	g.ExportGlobal("\x00sandpool.stop", g.Global(guesttest.I32, 0))
	fn := raw{Module: tiny(t, "reserved", g.Finish("spin", [2]uint32{1, 1}, nil, new(guesttest.Code).Loop().Br(0).End().Unreachable())), Name: "spin"}
	fn.Limits.Wall = 30 * time.Millisecond
	ex := newExecutor(t, executor.Options{Workers: 1})
	f := executor.Submit(t.Context(), ex, fn, nil)
	_, err := f.Wait(t.Context())
	limitError(t, err, "wall")
	require.Contains(t, f.Usage().KillOnly, "reserved name")
	fn.Meter = true
	_, err = call(t, ex, fn, nil)
	require.ErrorAs(t, err, new(*serialize.ModuleError))
}

// TestInterrupt_many has none of many timeouts missed.
func TestInterrupt_many(t *testing.T) {
	t.Parallel()
	ex := patient(t, executor.Options{Workers: 1})
	fn := limited(t)
	pid := counted(t, ex, fn, 1).PID
	short := fn
	short.Limits.Wall = time.Millisecond
	for i := range 200 {
		_, err := call(t, ex, short, append([]byte{guesttest.LimitsSpin}, make([]byte, i<<12)...)) // garbage for the worker
		limitError(t, err, "wall")
	}
	require.Equal(t, pid, counted(t, ex, fn, 1).PID)
	require.Zero(t, ex.Stats().WorkersKilled)
}

// TestInterrupt_races cancels calls that are about to end by themselves, from many
// goroutines. Whatever comes first, workers live and instances are clean.
func TestInterrupt_races(t *testing.T) {
	t.Parallel()
	ex := patient(t, executor.Options{Workers: 2, Host: waiting(nil, nil)})
	fn := limited(t)
	fn.Grants.Host = []string{"wait"}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 100 {
				what := []byte{guesttest.LimitsCount, guesttest.LimitsWork, guesttest.LimitsHost, guesttest.LimitsSpin}[i%4]
				f := executor.Submit(context.Background(), ex, fn, []byte{what})
				if i%3 == 0 {
					select {
					case <-f.Done():
					case <-time.After(time.Duration(g*i) * time.Microsecond):
					}
				}
				f.Cancel()
				out, err := f.Wait(context.Background())
				if err == nil && binary.LittleEndian.Uint32(out) != 1 {
					panic(fmt.Sprintf("an instance that %d calls have used", out))
				}
				if err != nil && !errors.Is(err, context.Canceled) {
					panic(err)
				}
			}
		})
	}
	wg.Wait()
	counted(t, ex, fn, 1)
	require.Zero(t, ex.Stats().WorkersDied)
	require.Zero(t, ex.Stats().WorkersKilled)
}

// TestInterrupt_ignored kills a worker that does not stop.
func TestInterrupt_ignored(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, WorkerPath: script(t, "unstoppable"), StartMethod: startmethod.Fresh})
	executor.SetStopGrace(ex, 20*time.Millisecond)
	fn := limited(t)
	fn.Limits.Wall = 30 * time.Millisecond
	f := executor.Submit(t.Context(), ex, fn, nil)
	_, err := f.Wait(t.Context())
	limitError(t, err, "wall")
	require.Eventually(t, func() bool { return ex.Stats().WorkersKilled == 1 }, hang, time.Millisecond)
}
