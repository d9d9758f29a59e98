package parity_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

// The tests in this file are of what hangs or is not there in loky.

// cancelledOnes has the executor's two workers hold calls, with others queued
// behind, of which every third has been cancelled.
func cancelledOnes(t *testing.T, ex *executor.Executor, h *holder) (held, cancelled, pending []*future) {
	t.Helper()
	for range 2 {
		held = append(held, executor.Submit(t.Context(), ex, h.fn, nil))
		h.begun(t)
	}
	for i := range 30 {
		f := executor.Submit(t.Context(), ex, echoFunc(t), []byte(strconv.Itoa(i)))
		if i%3 == 0 {
			cancelled = append(cancelled, f)
		} else {
			pending = append(pending, f)
		}
	}
	for _, f := range cancelled {
		require.Equal(t, executor.Queued, f.Cancel())
	}
	return held, cancelled, pending
}

func TestT1_cancelThenCrash(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex, h := newHolder(t, executor.Options{StartMethod: method})
		held, cancelled, pending := cancelledOnes(t, ex, h)
		for _, f := range held {
			pid := running(t, f)
			require.NoError(t, kill(pid))
			_, err := wait(t, f)
			workerKilled(t, err, pid)
		}
		for _, f := range cancelled {
			_, err := wait(t, f)
			require.ErrorIs(t, err, context.Canceled)
		}
		for _, f := range pending {
			_, err := wait(t, f)
			require.NoError(t, err)
		}
		echoes(t, ex)
	})
}

func TestT2_cancelThenCrashThenClose(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex, h := newHolder(t, executor.Options{StartMethod: method})
		held, cancelled, pending := cancelledOnes(t, ex, h)
		pids := []int{running(t, held[0]), running(t, held[1])}
		require.NoError(t, kill(pids[0]))
		returns(t, "Close", func() { require.NoError(t, ex.Close()) })
		for i, f := range held {
			require.Equal(t, executor.Done, f.State())
			if _, ok := errors.AsType[*executor.WorkerError](f.Err()); i == 0 && ok {
				continue // its death came before Close
			}
			require.ErrorIs(t, f.Err(), executor.ErrShutdown)
		}
		for _, f := range cancelled {
			require.ErrorIs(t, f.Err(), context.Canceled)
		}
		for _, f := range pending {
			require.Equal(t, executor.Done, f.State())
			if f.Err() != nil { // it may have had its turn
				require.ErrorIs(t, f.Err(), executor.ErrShutdown)
			}
		}
		requireReaped(t, pids)
		require.Zero(t, ex.Stats().Workers)
	})
}

func TestT3_submitCancelClose(t *testing.T) {
	t.Parallel()
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	echo := echoFunc(t)
	for i := range rounds {
		ex := newExecutor(t, executor.Options{})
		f := executor.Submit(t.Context(), ex, echo, nil)
		if i%10 == 9 {
			running := executor.Submit(t.Context(), ex, spinFunc(t), nil)
			eventually(t, func() bool { return running.State() == executor.Running }, "the call runs")
			require.Equal(t, executor.Running, running.Cancel())
			require.ErrorIs(t, running.Err(), context.Canceled)
		}
		found := f.Cancel()
		returns(t, "Shutdown or Close", func() {
			if i%2 == 0 {
				require.NoError(t, ex.Shutdown(t.Context()))
			}
			require.NoError(t, ex.Close())
		})
		if found == executor.Done {
			require.NoError(t, f.Err())
		} else {
			require.ErrorIs(t, f.Err(), context.Canceled)
		}
	}
}

func TestT4_everyCloseWaits(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		// A call at the gate holds up Close for as long as the test likes.
		ex, g := newGate(t, executor.Options{StartMethod: method, Workers: 1})
		_, pids := busy(t, ex, g, 1)
		const closers = 3
		closed := make(chan bool, closers) // whether the process was there when Close returned
		for i := range closers {
			go func() {
				if i == 0 {
					_ = ex.Shutdown(context.WithoutCancel(t.Context()))
				} else {
					_ = ex.Close()
				}
				closed <- exists(pids[0])
			}()
		}
		eventually(t, func() bool {
			return errors.Is(executor.Submit(t.Context(), ex, echoFunc(t), nil).Err(), executor.ErrShutdown)
		}, "it is closing")
		select {
		case <-closed:
			t.Fatal("Close has returned before the worker's end")
		case <-time.After(20 * time.Millisecond): // as long as a Close that does not wait would need
		}
		g.open()
		for range closers {
			select {
			case exists := <-closed:
				require.False(t, exists, "the worker's process outlives Close")
			case <-time.After(hang):
				t.Fatal("Close hangs")
			}
		}
	})
}

func TestT5_endlessInputs(t *testing.T) {
	t.Parallel()
	for name, pure := range map[string]bool{"run": false, "known results": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ex, echo := newExecutor(t, executor.Options{Workers: 2}), echoFunc(t)
			echo.Pure = pure
			endlessInputs(t, ex, echo)
		})
	}
}

// endlessInputs ranges over a Map without end, and then over a MapUnordered of the
// same inputs.
func endlessInputs(t *testing.T, ex *executor.Executor, echo raw) {
	t.Helper()
	taken := 0
	endless := func(yield func([]byte) bool) {
		for ; yield(fmt.Append(nil, taken)); taken++ {
		}
	}
	const enough = 300
	n := 0
	for out, err := range executor.Map(t.Context(), ex, echo, endless) {
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(n), string(out))
		if n++; n == enough {
			break
		}
	}
	const window = 256 * 2 // calls a worker
	require.LessOrEqual(t, taken, enough+window)

	n, taken = 0, 0
	seen := make(map[int]bool)
	for i, r := range executor.MapUnordered(t.Context(), ex, echo, endless) {
		require.NoError(t, r.Err)
		require.Equal(t, strconv.Itoa(i), string(r.Value))
		require.False(t, seen[i])
		seen[i] = true
		if n++; n == enough {
			break
		}
	}
	require.LessOrEqual(t, taken, enough+window)
	s := ex.Stats()
	require.Zero(t, s.Queued+s.Running, "what was under way has ended")
}

func TestT6_initializerFails(t *testing.T) {
	t.Parallel()
	fn := executor.Func[string, string]{Module: fixture(t), Name: "upper"}
	for name, code := range map[string]executor.Code{"setupfail": executor.CodeError, "setuppanic": executor.CodePanic} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ex := newExecutor(t, executor.Options{Initializer: executor.Initializer{Name: name, Input: "the licence has run out"}})
			for range 3 {
				f := executor.Submit(t.Context(), ex, fn, "x")
				_, err := wait(t, f)
				se, ok := errors.AsType[*executor.StartError](err)
				require.True(t, ok, "%v", err)
				require.Equal(t, "initializer", se.Stage)
				ge, ok := errors.AsType[*executor.GuestError](err)
				require.True(t, ok, "%v", err)
				require.Equal(t, code, ge.Code)
				require.Contains(t, ge.Message, "the licence has run out")
				require.ErrorContains(t, err, "the licence has run out")
			}
			require.Zero(t, ex.Stats().WorkersDied)
		})
	}
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		ex := newExecutor(t, executor.Options{Initializer: executor.Initializer{Name: "no-such-function"}})
		_, err := call(t, ex, fn, "x")
		require.ErrorContains(t, err, "no-such-function")
	})
}

func TestT7_stopInCallback(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		for name, stop := range map[string]func(*executor.Executor) error{
			"Shutdown": func(ex *executor.Executor) error { return ex.Shutdown(context.Background()) },
			"Close":    (*executor.Executor).Close,
		} {
			ex := newExecutor(t, executor.Options{StartMethod: method, Workers: 1})
			f := executor.Submit(t.Context(), ex, echoFunc(t), nil)
			behind := executor.Submit(t.Context(), ex, echoFunc(t), []byte("behind"))
			stopped := make(chan error, 1)
			f.OnDone(func(*future) { stopped <- stop(ex) })
			select {
			case err := <-stopped:
				require.NoError(t, err, name)
			case <-time.After(hang):
				t.Fatalf("%s hangs in a callback", name)
			}
			require.Equal(t, executor.Done, behind.State(), name)
			if name == "Shutdown" || behind.Err() == nil {
				out, err := behind.Wait(t.Context())
				require.NoError(t, err)
				require.Equal(t, "behind", string(out))
			} else {
				require.ErrorIs(t, behind.Err(), executor.ErrShutdown)
			}
			require.ErrorIs(t, executor.Submit(t.Context(), ex, echoFunc(t), nil).Err(), executor.ErrShutdown, name)
			requireReaped(t, []int{f.Usage().PID})
		}
	})
}

func TestT9_deadlineOfABusyLoop(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex, g := newGate(t, executor.Options{StartMethod: method, Workers: 2})
		neighbours, pids := busy(t, ex, g, 1)
		spin := spinFunc(t)
		reason := errors.New("out of time")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, reason)
		defer cancel()
		f := executor.Submit(ctx, ex, spin, nil)
		_, err := wait(t, f)
		require.ErrorIs(t, err, reason)

		spin.Limits.Wall = 50 * time.Millisecond
		limited := executor.Submit(t.Context(), ex, spin, nil)
		_, err = wait(t, limited)
		require.ErrorIs(t, err, &executor.LimitError{Limit: "wall"})

		echoes(t, ex)
		require.Equal(t, executor.Running, neighbours[0].State())
		g.open()
		out, err := wait(t, neighbours[0])
		require.NoError(t, err)
		require.Equal(t, "0", string(out))
		require.Equal(t, pids[0], neighbours[0].Usage().PID, "it has run all the while")
		require.Equal(t, 1, neighbours[0].Usage().Attempts)
	})
}

// A poisoner is a log handler that kills the worker of a call when its guest says
// that it has begun.
type poisoner struct {
	call  atomic.Pointer[future] // set once it is submitted
	kills atomic.Int32
}

// poison is the input of the call whose worker is to die.
const poison = "poison"

// Handle runs before the guest goes on: its worker dies before it can answer.
func (p *poisoner) Handle(_ context.Context, r slog.Record) error {
	if r.Message != poison {
		return nil
	}
	for {
		if f := p.call.Load(); f != nil && f.State() == executor.Running && kill(f.Usage().PID) == nil {
			p.kills.Add(1)
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}

func (*poisoner) Enabled(context.Context, slog.Level) bool { return true }

func (p *poisoner) WithAttrs([]slog.Attr) slog.Handler { return p }

func (p *poisoner) WithGroup(string) slog.Handler { return p }

// poisonedFunc logs its input and returns it.
func poisonedFunc(t *testing.T) raw {
	t.Helper()
	g := guesttest.NewTiny()
	body := readInput(g).
		I32(0).I32(0).Get(inputSize).Call(g.Log).
		I32(0).Get(inputSize).Call(g.Write).I32(0)
	return tinyFunc(t, "poisoned", g.Finish("poisoned", onePage, []guesttest.ValueType{guesttest.I32}, body))
}

func TestT10_poisonAmongThousand(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	for name, tc := range map[string]struct {
		idempotent bool
		retries    int
		attempts   int
	}{
		"by default":  {false, 0, 1},
		"idempotent":  {true, 0, 3},
		"no retries":  {true, -1, 1},
		"five in all": {true, 4, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := new(poisoner)
			ex := newExecutor(t, executor.Options{Workers: 2, Retries: tc.retries, GuestLog: slog.New(p)})
			fn := poisonedFunc(t)
			fn.Idempotent = tc.idempotent
			const calls, bad = 1000, 500
			var fs []*future
			for i := range calls {
				in := strconv.Itoa(i)
				if i == bad {
					in = poison
				}
				fs = append(fs, executor.Submit(t.Context(), ex, fn, []byte(in)))
				if i == bad {
					p.call.Store(fs[i])
				}
			}
			for i, f := range fs {
				out, err := wait(t, f)
				if i != bad {
					require.NoError(t, err, "call %d", i)
					require.Equal(t, strconv.Itoa(i), string(out))
					continue
				}
				killedBy("SIGKILL")(t, err)
				require.Equal(t, tc.attempts, f.Usage().Attempts)
			}
			require.EqualValues(t, tc.attempts, p.kills.Load())
			s := ex.Stats()
			require.EqualValues(t, tc.attempts, s.WorkersDied)
			require.EqualValues(t, tc.attempts-1, s.Retried)
			require.EqualValues(t, 1, s.Failed)
			require.EqualValues(t, calls-1, s.Succeeded)
		})
	}
}

func TestT11_idleWorkerKilled(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		const workers = 3
		ex, g := newGate(t, executor.Options{StartMethod: method, Workers: workers})
		for round := range uint64(3) {
			for _, pid := range together(t, ex, g, fmt.Sprintf("%d/", round), workers) {
				require.NoError(t, kill(pid))
				processGone(t, pid)
			}
			eventually(t, func() bool { return ex.Stats().WorkersDied == workers*(round+1) }, "the deaths are known")
			require.LessOrEqual(t, ex.Stats().Workers, workers)
		}
		echoes(t, ex)
		require.Zero(t, ex.Stats().Failed, "nobody hears of it")
	})
}
