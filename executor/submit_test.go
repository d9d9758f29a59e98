package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

type pair struct{ A, B int }

func TestSubmit(t *testing.T) {
	t.Parallel()
	ex, m := newExecutor(t, executor.Options{}), fixture(t)

	s, err := call(t, ex, executor.Func[string, string]{Module: m, Name: "upper"}, "strasse")
	require.NoError(t, err)
	require.Equal(t, "STRASSE", s)

	n, err := call(t, ex, executor.Func[pair, int]{Module: m, Name: "add"}, pair{math.MaxInt32, 2})
	require.NoError(t, err)
	require.Equal(t, math.MaxInt32+2, n)

	n, err = call(t, ex, executor.Func[[]int, int]{Module: m, Name: "sum"}, []int{1, -2, 3})
	require.NoError(t, err)
	require.Equal(t, 2, n)

	words, err := call(t, ex, executor.Func[string, map[string]int]{Module: m, Name: "words"}, "a b a")
	require.NoError(t, err)
	require.Equal(t, map[string]int{"a": 2, "b": 1}, words)

	for _, size := range []int{0, 1, 32<<10 - 1, 32 << 10, 32<<10 + 1, 100_000, 3 << 20} {
		in := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		out, err := call(t, ex, raw{Module: m, Name: "echo"}, in)
		require.NoError(t, err, "%d bytes", size)
		require.True(t, bytes.Equal(in, out), "%d bytes", size)
	}
}

func TestSubmit_cleanInstance(t *testing.T) {
	t.Parallel()
	ex, m := newExecutor(t, executor.Options{Workers: 1}), fixture(t)
	counter := executor.Func[struct{}, int]{Module: m, Name: "counter"}
	for _, method := range startmethod.Methods() {
		if method == startmethod.Warm {
			continue // sees what it likes
		}
		calls := 5
		if method == startmethod.Fresh {
			if calls = 2; testing.Short() {
				continue // compiles at each call
			}
		}
		counter.StartMethod = method
		for range calls {
			f := executor.Submit(t.Context(), ex, counter, struct{}{})
			n, err := wait(t, f)
			require.NoError(t, err)
			require.Equal(t, 1, n, "a call sees nothing of the one before (%s)", method)
			require.Equal(t, method, f.Usage().StartMethod)
		}
	}
}

func TestSubmit_fresh(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, StartMethod: startmethod.Fresh})
	echo := echoFunc(t)
	for i := range 20 {
		// Both methods in one worker, in turn.
		if echo.StartMethod = ""; i%2 == 1 {
			echo.StartMethod = startmethod.Precompiled
		}
		out, err := call(t, ex, echo, []byte("again"))
		require.NoError(t, err)
		require.Equal(t, "again", string(out))
	}
}

func TestSubmit_usage(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	echo := echoFunc(t)
	f := executor.Submit(t.Context(), ex, echo, []byte("x"))
	_, err := wait(t, f)
	require.NoError(t, err)
	u := f.Usage()
	require.Positive(t, u.PID)
	require.Positive(t, u.Run)
	require.Equal(t, 1, u.Worker)
	require.EqualValues(t, 64<<10, u.Memory)
	require.True(t, u.Cold, "the first call loads the module")
	f = executor.Submit(t.Context(), ex, echo, []byte("x"))
	_, err = wait(t, f)
	require.NoError(t, err)
	require.False(t, f.Usage().Cold)
	require.Equal(t, u.PID, f.Usage().PID)
}

func TestSubmit_guestErrors(t *testing.T) {
	t.Parallel()
	ex, m := newExecutor(t, executor.Options{}), fixture(t)
	type none = struct{}
	text := func(name string) func(string) error {
		return func(in string) error {
			_, err := call(t, ex, executor.Func[string, none]{Module: m, Name: name}, in)
			return err
		}
	}
	for name, tc := range map[string]struct {
		run     func(string) error
		code    executor.Code
		message string
		stack   string
		stderr  string
	}{
		"error":     {run: text("fail"), code: executor.CodeError, message: "boo"},
		"panic":     {run: text("panic"), code: executor.CodePanic, message: "boo", stack: "main.panics("},
		"goroutine": {run: text("panicgo"), code: executor.CodeTrap, message: "unreachable", stderr: "panic: boo"},
		"nil map": {
			run: func(string) error {
				_, err := call(t, ex, executor.Func[none, none]{Module: m, Name: "nilmap"}, none{})
				return err
			},
			code: executor.CodePanic, message: "assignment to entry in nil map", stack: "main.nilmap(",
		},
		"deadlock": {
			run: func(string) error {
				_, err := call(t, ex, executor.Func[none, none]{Module: m, Name: "deadlock"}, none{})
				return err
			},
			code: executor.CodeTrap, message: "unreachable", stderr: "all goroutines are asleep",
		},
		"bad output": {
			run: func(string) error {
				_, err := call(t, ex, executor.Func[none, any]{Module: m, Name: "badout"}, none{})
				return err
			},
			code: executor.CodeOutput, message: "badout",
		},
		"wrong argument type": {
			run: func(string) error {
				_, err := call(t, ex, executor.Func[int, string]{Module: m, Name: "upper"}, 42)
				return err
			},
			code: executor.CodeInput, message: "decode input of upper as string",
		},
		"raw for a typed function": {
			run: func(string) error {
				_, err := call(t, ex, raw{Module: m, Name: "upper"}, []byte("x"))
				return err
			},
			code: executor.CodeInput, message: "upper",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tc.run("boo")
			var ge *executor.GuestError
			require.ErrorAs(t, err, &ge)
			require.Equal(t, tc.code, ge.Code, "%v", err)
			require.Contains(t, ge.Message, tc.message)
			require.Contains(t, ge.Stack, tc.stack)
			require.Contains(t, ge.Stderr, tc.stderr)
			require.ErrorIs(t, err, &executor.GuestError{Code: tc.code})
			require.NotErrorIs(t, err, &executor.GuestError{Code: 99})
			require.NotContains(t, err.Error(), "\n")
		})
	}
	t.Cleanup(func() {
		require.Zero(t, ex.Stats().WorkersDied, "workers outlive their guests' failures")
	})
}

func TestSubmit_exit(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	// 0xffffffff is what the engine itself uses for a cancelled context.
	for _, code := range []uint32{0, 42, 0xffffffff, 0xefffffff} {
		_, err := call(t, ex, raw{Module: tiny(t, "exit", guesttest.TinyExit(code)), Name: "exit"}, nil)
		var ge *executor.GuestError
		require.ErrorAs(t, err, &ge)
		require.Equal(t, executor.CodeExit, ge.Code)
		require.Equal(t, code, ge.ExitCode)
		require.NotErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
	}
}

func TestSubmit_traps(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	for name, tc := range map[string]struct {
		wasm    []byte
		message string
	}{
		"trap":        {guesttest.TinyTrap(), "unreachable"},
		"starttrap":   {guesttest.TinyStartTrap(), "unreachable"},
		"outofbounds": {guesttest.TinyOutOfBounds(), "out of bounds memory access in input_read"},
	} {
		_, err := call(t, ex, raw{Module: tiny(t, name, tc.wasm), Name: name}, []byte("in"))
		var ge *executor.GuestError
		require.ErrorAs(t, err, &ge, name)
		require.Equal(t, executor.CodeTrap, ge.Code, name)
		require.Equal(t, tc.message, ge.Message, name)
	}
	out, err := call(t, ex, echoFunc(t), []byte("alive"))
	require.NoError(t, err)
	require.Equal(t, "alive", string(out))
	require.Zero(t, ex.Stats().WorkersDied)
}

func TestSubmit_forgedFail(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	for given, want := range map[uint32]executor.Code{
		1: executor.CodeError, 4: executor.CodeOutput,
		0: executor.CodeError, 5: executor.CodeError, 6: executor.CodeError, math.MaxUint32: executor.CodeError,
	} {
		_, err := call(t, ex, raw{Module: tiny(t, "f", guesttest.TinyForgedFail(given)), Name: "forgedfail"}, nil)
		var ge *executor.GuestError
		require.ErrorAs(t, err, &ge)
		require.Equal(t, want, ge.Code, "code %d", given)
	}
	_, err := call(t, ex, raw{Module: tiny(t, "s", guesttest.TinySilentFail()), Name: "silentfail"}, nil)
	require.ErrorIs(t, err, &executor.GuestError{Code: executor.CodeError})
}

func TestSubmit_moduleErrors(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	for name, tc := range map[string]struct {
		fn     raw
		kind   serialize.ModuleErrorKind
		export string
		text   string
	}{
		"no such function": {raw{Module: tiny(t, "e", guesttest.TinyEcho()), Name: "ecko"}, serialize.MissingExport, "ecko", "registers echo"},
		"no interface":     {raw{Module: tiny(t, "add", guesttest.TinyNoABI()), Name: "add"}, serialize.MissingExport, "sandpool_v1_describe", "guest interface"},
		"unknown import":   {raw{Module: tiny(t, "b", guesttest.TinyBadImport()), Name: "badimport"}, serialize.MissingImport, "env.mystery", "workers offer only"},
	} {
		_, err := call(t, ex, tc.fn, nil)
		var me *serialize.ModuleError
		require.ErrorAs(t, err, &me, name)
		require.Equal(t, tc.kind, me.Kind, name)
		require.Equal(t, tc.export, me.Name, name)
		require.ErrorContains(t, err, tc.text, name)
	}
}

func TestSubmit_badFunc(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Limits: executor.Limits{Wall: time.Minute}})
	echo := echoFunc(t)
	for name, change := range map[string]func(f *raw){
		"Func.Module":         func(f *raw) { f.Module = nil },
		"Func.Name":           func(f *raw) { f.Name = "" },
		"Func.StartMethod":    func(f *raw) { f.StartMethod = "sideways" },
		"Options.Initializer": func(f *raw) { f.StartMethod = "loky_init_main" },
		"Func.Limits.Wall":    func(f *raw) { f.Limits.Wall = time.Hour },
		"Func.Limits.Memory":  func(f *raw) { f.Limits.Memory = -1 },
		"Func.Limits.Input":   func(f *raw) { f.Limits.Input = 2 << 30 },
		"Func.Limits.Output":  func(f *raw) { f.Limits.Output = 2 << 30 },
		"Func.Limits.Log":     func(f *raw) { f.Limits.Log = 2 << 30 },
	} {
		fn := echo
		change(&fn)
		f := executor.Submit(t.Context(), ex, fn, nil)
		require.Equal(t, executor.Done, f.State(), name)
		var oe *executor.OptionError
		require.ErrorAs(t, f.Err(), &oe)
		require.Equal(t, name, oe.Option)
		require.Equal(t, executor.Done, f.Cancel())
		require.Zero(t, f.Usage())
	}
}

// unencodable panics when it is encoded.
type unencodable struct{}

func (unencodable) MarshalCBOR() ([]byte, error) { panic("cannot be encoded") }

func TestSubmit_serializeErrors(t *testing.T) {
	t.Parallel()
	ex, m := newExecutor(t, executor.Options{}), fixture(t)
	for _, in := range []any{make(chan int), unencodable{}} {
		f := executor.Submit(t.Context(), ex, executor.Func[any, string]{Module: m, Name: "upper"}, in)
		var se *serialize.Error
		require.ErrorAs(t, f.Err(), &se)
		require.Equal(t, "encode", se.Op)
	}
	f := executor.Submit(t.Context(), ex, executor.Func[string, int]{Module: m, Name: "upper"}, "text")
	_, err := wait(t, f)
	var se *serialize.Error
	require.ErrorAs(t, err, &se)
	require.Equal(t, "decode", se.Op)
	require.Equal(t, "int", se.Type)
	require.Equal(t, err, f.Err())
}

func TestSubmit_concurrent(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 3})
	echo := echoFunc(t)
	const n = 2000
	errs := make(chan error, 8) // one for each goroutine
	for g := range cap(errs) {
		go func() {
			errs <- func() error {
				for i := range n / cap(errs) {
					in := fmt.Appendf(nil, "%d/%d", g, i)
					out, err := executor.Submit(context.Background(), ex, echo, in).Wait(context.Background())
					if err != nil || !bytes.Equal(in, out) {
						return fmt.Errorf("%s became %s: %w", in, out, err)
					}
				}
				return nil
			}()
		}()
	}
	var all []error
	for range cap(errs) {
		all = append(all, <-errs)
	}
	require.NoError(t, errors.Join(all...))
	s := ex.Stats()
	require.EqualValues(t, n, s.Succeeded)
	require.LessOrEqual(t, s.Workers, 3)
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{})
	d, err := executor.Describe(t.Context(), ex, fixture(t))
	require.NoError(t, err)
	require.Contains(t, d.SDK, "go")
	require.Contains(t, d.Functions, executor.Function{Name: "words", In: "string", Out: "map[string]int"})
	require.Contains(t, d.Functions, executor.Function{Name: "echo", In: "bytes", Out: "bytes"})
	_, err = executor.Describe(t.Context(), ex, tiny(t, "add", guesttest.TinyNoABI()))
	require.ErrorIs(t, err, &serialize.ModuleError{Kind: serialize.MissingExport})
}
