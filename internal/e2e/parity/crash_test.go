package parity_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// An outcome is a future of any type.
type outcome interface {
	executor.Awaitable
	State() executor.State
	Usage() executor.Usage
}

// A crash is a call that comes to a bad end, of which no other call may hear.
type crash struct {
	submit func(context.Context, *executor.Executor) outcome
	hit    func(pid int) error // done to the worker when the guest says that it has begun
	check  func(t *testing.T, err error)
}

// submits is a crash's call.
func submits[In, Out any](fn executor.Func[In, Out], in In) func(context.Context, *executor.Executor) outcome {
	return func(ctx context.Context, ex *executor.Executor) outcome { return executor.Submit(ctx, ex, fn, in) }
}

// crashes has each call crash under each start method, submitted by the test and
// by a callback, and checks after each that the executor serves.
func crashes(t *testing.T, cases map[string]crash) {
	t.Helper()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		h := newHold(t)
		ex := newExecutor(t, executor.Options{StartMethod: method, GuestLog: h.log})
		deaths := 0
		for name, c := range cases {
			for way, submit := range map[string]func() outcome{
				"directly":        func() outcome { return c.submit(t.Context(), ex) },
				"from a callback": func() outcome { return fromCallback(t, ex, c) },
			} {
				f := submit()
				if c.hit != nil {
					h.begun(t)
					require.NoError(t, c.hit(heldBy(t, f)), "%s %s", name, way)
					deaths++
				}
				finished(t, f)
				c.check(t, f.Err())
				echoes(t, ex)
			}
		}
		eventually(t, func() bool { return ex.Stats().WorkersDied == uint64(deaths) }, "%d workers died", deaths)
	})
}

// fromCallback submits from a callback of another call.
func fromCallback(t *testing.T, ex *executor.Executor, c crash) outcome {
	t.Helper()
	submitted := make(chan outcome, 1)
	executor.Submit(t.Context(), ex, echoFunc(t), nil).OnDone(func(*future) { submitted <- c.submit(t.Context(), ex) })
	select {
	case f := <-submitted:
		return f
	case <-time.After(hang):
		t.Fatal("the callback is not run")
		return nil
	}
}

// heldBy waits until a worker has the call and returns the worker's process.
func heldBy(t *testing.T, f outcome) int {
	t.Helper()
	eventually(t, func() bool { return f.State() != executor.Queued }, "the call is run")
	require.Equal(t, executor.Running, f.State(), "%v", f.Err())
	return f.Usage().PID
}

// finished waits until f is done.
func finished(t *testing.T, f executor.Awaitable) {
	t.Helper()
	select {
	case <-f.Done():
	case <-time.After(hang):
		t.Fatal("the call hangs")
	}
}

// eventually waits until f reports what the message says.
func eventually(t *testing.T, f func() bool, message string, args ...any) {
	t.Helper()
	require.Eventually(t, f, hang, time.Millisecond, append([]any{message}, args...)...)
}

// needsSignals skips a test that looks at signals.
func needsSignals(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no signals on Windows")
	}
}

// guestFails checks for a failure of the guest, which its worker survives.
func guestFails(code executor.Code, text string) func(*testing.T, error) {
	return func(t *testing.T, err error) {
		t.Helper()
		ge, ok := errors.AsType[*executor.GuestError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, code, ge.Code)
		require.Contains(t, ge.Message, text)
	}
}

// guestExits checks for a guest that has ended itself.
func guestExits(code uint32) func(*testing.T, error) {
	return func(t *testing.T, err error) {
		t.Helper()
		ge, ok := errors.AsType[*executor.GuestError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, executor.CodeExit, ge.Code)
		require.Equal(t, code, ge.ExitCode)
	}
}

// killedBy checks for a worker that a signal has ended.
func killedBy(signal string) func(*testing.T, error) {
	return func(t *testing.T, err error) {
		t.Helper()
		we, ok := errors.AsType[*executor.WorkerError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, signal, we.Signal)
		require.Equal(t, -1, we.ExitCode)
		require.Positive(t, we.PID)
		require.ErrorContains(t, err, signal)
	}
}

// segfaulted checks for a worker that has had a segmentation fault: the Go
// runtime says so and exits, unless it has another one in looking at the guest's
// stack.
func segfaulted(t *testing.T, err error) {
	t.Helper()
	we, ok := errors.AsType[*executor.WorkerError](err)
	require.True(t, ok, "%v", err)
	if we.Signal != "SIGSEGV" {
		require.Equal(t, 2, we.ExitCode, "%v", err)
	}
	require.Contains(t, we.Stderr, "SIGSEGV")
	require.ErrorContains(t, err, "SIGSEGV")
}

// guestOf is a guest whose call runs the code that build returns. exit is the
// import that ends the guest with a code.
func guestOf(t *testing.T, name string, build func(g *guesttest.Tiny, exit uint32) *guesttest.Code) raw {
	t.Helper()
	g := guesttest.NewTiny()
	exit := g.Import("wasi_snapshot_preview1", "proc_exit", guesttest.Sig([]guesttest.ValueType{guesttest.I32}))
	return tinyFunc(t, name, g.Finish(name, onePage, nil, build(g, exit)))
}

// held is code that says "begun", which a holder hears, and never goes on.
func held(g *guesttest.Tiny) *guesttest.Code {
	return new(guesttest.Code).I32(0).Append(g.Text("begun")).Call(g.Log).Loop().Br(0).End().Unreachable()
}

// answerFunc is a function whose output is always the same.
func answerFunc(t *testing.T, name, output string) raw {
	t.Helper()
	g := guesttest.NewTiny()
	return tinyFunc(t, name, g.Finish(name, onePage, nil, g.Text(output).Call(g.Write).I32(0)))
}

func TestD1_crashInEncodingInput(t *testing.T) {
	t.Parallel()
	fn := executor.Func[unencodable, []byte]{Module: echoFunc(t).Module, Name: "echo"}
	crashes(t, map[string]crash{
		"fails":  {submit: submits(fn, unencodable{}), check: requireUnencodable},
		"panics": {submit: submits(fn, unencodable{panics: true}), check: requireUnencodable},
	})
}

func TestD2_crashInDecodingInput(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	read := func(g *guesttest.Tiny) *guesttest.Code {
		return new(guesttest.Code).I32(0).I32(0).I32(16).Call(g.Read).Drop()
	}
	stuck := guestOf(t, "stuck", func(g *guesttest.Tiny, _ uint32) *guesttest.Code { return read(g).Append(held(g)) })
	exits := guestOf(t, "exits", func(g *guesttest.Tiny, exit uint32) *guesttest.Code {
		return read(g).I32(3).Call(exit).I32(0)
	})
	misfit := executor.Func[int, []byte]{Module: echoFunc(t).Module, Name: "echo"}
	in := []byte("an input")
	crashes(t, map[string]crash{
		"does not fit": {submit: submits(misfit, 42), check: guestFails(executor.CodeInput, "echo takes and returns raw bytes")},
		"exits":        {submit: submits(exits, in), check: guestExits(3)},
		"traps":        {submit: submits(tinyFunc(t, "outofbounds", guesttest.TinyOutOfBounds()), in), check: guestFails(executor.CodeTrap, "out of bounds")},
		"segfault":     {submit: submits(stuck, in), hit: segfault, check: segfaulted},
		"killed":       {submit: submits(stuck, in), hit: kill, check: killedBy("SIGKILL")},
	})
}

func TestD3_crashInRun(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	h := newHold(t)
	crashes(t, map[string]crash{
		"fails":      {submit: submits(tinyFunc(t, "forgedfail", guesttest.TinyForgedFail(1)), nil), check: guestFails(executor.CodeError, "forged")},
		"panics":     {submit: submits(tinyFunc(t, "forgedfail", guesttest.TinyForgedFail(3)), nil), check: guestFails(executor.CodePanic, "forged")},
		"traps":      {submit: submits(trapFunc(t), nil), check: guestFails(executor.CodeTrap, "unreachable")},
		"exits well": {submit: submits(tinyFunc(t, "exit", guesttest.TinyExit(0)), nil), check: guestExits(0)},
		"exits":      {submit: submits(tinyFunc(t, "exit", guesttest.TinyExit(42)), nil), check: guestExits(42)},
		"segfault":   {submit: submits(h.fn, nil), hit: segfault, check: segfaulted},
		"terminated": {submit: submits(h.fn, nil), hit: terminate, check: killedBy("SIGTERM")},
		"killed":     {submit: submits(h.fn, nil), hit: kill, check: killedBy("SIGKILL")},
	})
}

func TestD4_crashInEncodingOutput(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	write := func(g *guesttest.Tiny) *guesttest.Code { return g.Text("half an output").Call(g.Write) }
	stuck := guestOf(t, "stuck", func(g *guesttest.Tiny, _ uint32) *guesttest.Code { return write(g).Append(held(g)) })
	traps := guestOf(t, "traps", func(g *guesttest.Tiny, _ uint32) *guesttest.Code { return write(g).Unreachable() })
	exits := guestOf(t, "exits", func(g *guesttest.Tiny, exit uint32) *guesttest.Code {
		return write(g).I32(0).Call(exit).I32(0)
	})
	crashes(t, map[string]crash{
		"fails":    {submit: submits(tinyFunc(t, "forgedfail", guesttest.TinyForgedFail(4)), nil), check: guestFails(executor.CodeOutput, "forged")},
		"traps":    {submit: submits(traps, nil), check: guestFails(executor.CodeTrap, "unreachable")},
		"exits":    {submit: submits(exits, nil), check: guestExits(0)},
		"segfault": {submit: submits(stuck, nil), hit: segfault, check: segfaulted},
		"killed":   {submit: submits(stuck, nil), hit: kill, check: killedBy("SIGKILL")},
	})
}

// undecodable cannot be decoded: it fails, or panics.
type (
	undecodable struct{}
	explosive   struct{}
)

// A decodeError is what is wrong with an undecodable.
type decodeError struct{ in string }

func (e *decodeError) Error() string { return "no sense in " + e.in }

func (*undecodable) UnmarshalCBOR(data []byte) error {
	return &decodeError{strconv.Quote(string(data))}
}

func (*explosive) UnmarshalCBOR(data []byte) error { panic(&decodeError{strconv.Quote(string(data))}) }

// answering is a function of that Go type whose output is CBOR's text "CBOR".
func answering[Out any](t *testing.T) executor.Func[[]byte, Out] {
	t.Helper()
	fn := answerFunc(t, "answer", "\x64CBOR")
	return executor.Func[[]byte, Out]{Module: fn.Module, Name: fn.Name}
}

func TestD5_crashInDecodingOutput(t *testing.T) {
	t.Parallel()
	decoding := func(text, typ string) func(*testing.T, error) {
		return func(t *testing.T, err error) {
			t.Helper()
			se, ok := errors.AsType[*serialize.Error](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, "decode", se.Op)
			require.Equal(t, typ, se.Type)
			require.ErrorContains(t, err, text)
		}
	}
	broken := answerFunc(t, "broken", "\xff\xff")
	crashes(t, map[string]crash{
		"fails":        {submit: submits(answering[undecodable](t), nil), check: decoding("no sense in", "parity_test.undecodable")},
		"panics":       {submit: submits(answering[explosive](t), nil), check: decoding("no sense in", "parity_test.explosive")},
		"another type": {submit: submits(answering[int](t), nil), check: decoding("int", "int")},
		"no CBOR":      {submit: submits(executor.Func[[]byte, string]{Module: broken.Module, Name: broken.Name}, nil), check: decoding("", "string")},
	})
	ex := newExecutor(t, executor.Options{})
	text, err := call(t, ex, answering[string](t), nil)
	require.NoError(t, err, "nothing is wrong with the output itself")
	require.Equal(t, "CBOR", text)
}

func TestD6_crashInCallbackThatSubmits(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex := newExecutor(t, executor.Options{StartMethod: method, Workers: 1})
		echo := echoFunc(t)
		for _, end := range []func(){func() { panic("a callback's panic") }, runtime.Goexit} {
			submitted := make(chan *future, 1)
			executor.Submit(t.Context(), ex, echo, nil).OnDone(func(*future) {
				submitted <- executor.Submit(t.Context(), ex, echo, []byte("from the callback"))
				end()
			})
			out, err := wait(t, <-submitted)
			require.NoError(t, err)
			require.Equal(t, "from the callback", string(out))
			echoes(t, ex)
		}
	})
}

func TestD7_killedWhileResized(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		w := newWarnings()
		h := newHold(t)
		ex := newExecutor(t, executor.Options{StartMethod: method, Workers: 1, GuestLog: h.log, Logger: w.log})
		f := executor.Submit(t.Context(), ex, h.fn, nil)
		h.begun(t)
		pid := running(t, f)
		returns(t, "Resize", func() { require.NoError(t, ex.Resize(2)) })
		require.Equal(t, executor.Running, f.State(), "Resize waits for nobody")
		require.Empty(t, w.all(), "and has nothing to warn of")
		echoes(t, ex)

		require.NoError(t, kill(pid))
		_, err := wait(t, f)
		workerKilled(t, err, pid)
		echoes(t, ex)
		require.Equal(t, 2, ex.Stats().Limit)
		require.NoError(t, ex.Resize(1))
		echoes(t, ex)
	})
}

func TestD8_workersKilledAtOnce(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	for _, n := range []int{1, 2, 5, 13} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			ex, h := newHolder(t, executor.Options{Workers: n})
			var held, waiting []*future
			for range n {
				held = append(held, executor.Submit(t.Context(), ex, h.fn, nil))
			}
			for i := range 5 * n {
				waiting = append(waiting, executor.Submit(t.Context(), ex, echoFunc(t), fmt.Append(nil, i)))
			}
			var pids []int
			for range held {
				h.begun(t)
			}
			for _, f := range held {
				pids = append(pids, running(t, f))
			}
			require.Len(t, unique(pids), n)
			concurrently(t, n, func(i int) error {
				for range rand.N(1000) {
					runtime.Gosched()
				}
				return kill(pids[i])
			})
			for i, f := range held {
				_, err := wait(t, f)
				workerKilled(t, err, pids[i])
			}
			for i, f := range waiting {
				out, err := wait(t, f)
				require.NoError(t, err, "none of them was in a worker that died")
				require.Equal(t, strconv.Itoa(i), string(out))
			}
			eventually(t, func() bool { return ex.Stats().WorkersDied == uint64(n) }, "%d workers died", n)
		})
	}
}

// TestD8_workersKilledAnyTime kills workers that are in the middle of short calls,
// or between two.
func TestD8_workersKilledAnyTime(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		const kills, calls = 10, 500
		ex, echo := newExecutor(t, executor.Options{StartMethod: method, Workers: 5}), echoFunc(t)
		var fs []*future
		for i := range calls {
			fs = append(fs, executor.Submit(t.Context(), ex, echo, fmt.Append(nil, i)))
		}
		killed := make(map[int]bool)
		for range kills {
			f := fs[rand.N(calls)]
			finished(t, f)
			if pid := f.Usage().PID; !killed[pid] && f.Err() == nil {
				killed[pid] = kill(pid) == nil // or it has been sent home
			}
		}
		failed := 0
		for i, f := range fs {
			out, err := wait(t, f)
			if err == nil {
				require.Equal(t, strconv.Itoa(i), string(out))
				continue
			}
			we, ok := errors.AsType[*executor.WorkerError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, "SIGKILL", we.Signal)
			require.True(t, killed[we.PID], "worker %d was not killed here", we.PID)
			failed++
		}
		require.LessOrEqual(t, failed, kills, "one call a worker")
		for pid := range killed {
			eventually(t, func() bool { return !exists(pid) }, "process %d is reaped", pid)
		}
		echoes(t, ex)
	})
}

func TestD9_inputsPanic(t *testing.T) {
	t.Parallel()
	for _, batch := range []int{1, 2, 4} {
		t.Run(strconv.Itoa(batch), func(t *testing.T) {
			t.Parallel()
			ex, echo := newExecutor(t, executor.Options{Batch: batch}), echoFunc(t)
			broken := func(yield func([]byte) bool) {
				for i := range 10 {
					if !yield(fmt.Append(nil, i)) {
						return
					}
				}
				panic("the inputs are broken")
			}
			require.PanicsWithValue(t, "the inputs are broken", func() {
				for _, err := range executor.Map(t.Context(), ex, echo, broken) {
					require.NoError(t, err)
				}
			})
			require.PanicsWithValue(t, "the inputs are broken", func() {
				for _, r := range executor.MapUnordered(t.Context(), ex, echo, broken) {
					require.NoError(t, r.Err)
				}
			})
			s := ex.Stats()
			require.Zero(t, s.Queued+s.Running, "what was under way has ended")
			echoes(t, ex)
		})
	}
}

func TestD10_hundredEncodeErrors(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex, echo := newExecutor(t, executor.Options{StartMethod: method}), echoFunc(t)
		bad := executor.Func[unencodable, []byte]{Module: echo.Module, Name: echo.Name}
		var failing, good []*future
		for i := range 100 {
			failing = append(failing, executor.Submit(t.Context(), ex, bad, unencodable{panics: i%2 == 0}))
		}
		for i := range 100 {
			good = append(good, executor.Submit(t.Context(), ex, echo, fmt.Append(nil, i)))
		}
		done, pending, err := executor.Wait(t.Context(), executor.AllCompleted, slices.Concat(failing, good)...)
		require.NoError(t, err)
		require.Len(t, done, 200)
		require.Empty(t, pending)
		for i, f := range failing {
			requireUnencodable(t, f.Err())
			out, err := good[i].Wait(t.Context())
			require.NoError(t, err)
			require.Equal(t, strconv.Itoa(i), string(out))
		}
	})
}

func TestD11_whatCannotBeDecoded(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{})
	_, err := call(t, ex, answering[undecodable](t), nil)
	de, ok := errors.AsType[*decodeError](err)
	require.True(t, ok, "the type's own error is in the chain: %v", err)
	require.Equal(t, `"dCBOR"`, de.in)
	require.ErrorContains(t, err, "parity_test.undecodable", "what could not be made")
	require.ErrorContains(t, err, `no sense in "dCBOR"`, "and why")

	// The same in the guest, whose types are known to it alone.
	upper := executor.Func[[]int, string]{Module: fixture(t), Name: "upper"}
	_, err = call(t, ex, upper, []int{1, 2})
	require.ErrorIs(t, err, &executor.GuestError{Code: executor.CodeInput})
	require.ErrorContains(t, err, "decode input of upper as string")
	require.ErrorContains(t, err, "array", "what there was instead")
}
