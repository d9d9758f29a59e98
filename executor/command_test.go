package executor_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

type commandFunc = executor.Func[executor.CommandInput, executor.CommandResult]

// worldCommand is the Go command that does what its arguments say.
func worldCommand(t *testing.T) commandFunc {
	t.Helper()
	m := load(t, guesttest.BuildCommand(t, "world"))
	return executor.Command(m)
}

func TestCommand(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	ex, fn := newExecutor(t, executor.Options{
		Workers: 1, GuestLog: slog.New(slog.NewTextHandler(&logged, nil)),
		Initializer: executor.Initializer{Name: "nobody-has-it"},
	}), worldCommand(t)
	for name, tc := range map[string]struct {
		in     executor.CommandInput
		stdout string
		stderr string // contained
		code   int
	}{
		"nothing":    {in: executor.CommandInput{Args: []string{"tool"}}},
		"args":       {in: executor.CommandInput{Args: []string{"tool", "args", "args: \"ü"}}, stdout: "[\"tool\" \"args\" \"args: \\\"ü\"]\n[\"tool\" \"args\" \"args: \\\"ü\"]\n"},
		"env":        {in: executor.CommandInput{Args: []string{"", "env"}, Env: []string{"B=2", "A=1", "B=3"}}, stdout: "[\"A=1\" \"B=3\"]\n"},
		"no env":     {in: executor.CommandInput{Args: []string{"tool", "env"}}, stdout: "[]\n"},
		"stdin":      {in: executor.CommandInput{Args: []string{"tool", "cat"}, Stdin: []byte("\x00\xffline")}, stdout: "\x00\xffline", stderr: "6 <nil>\n"},
		"no stdin":   {in: executor.CommandInput{Args: []string{"tool", "cat"}}, stderr: "0 <nil>\n"},
		"exit":       {in: executor.CommandInput{Args: []string{"tool", "env", "exit:3", "env"}}, stdout: "[]\n", code: 3},
		"exit 0":     {in: executor.CommandInput{Args: []string{"tool", "exit:0"}}},
		"big code":   {in: executor.CommandInput{Args: []string{"tool", "exit:-1"}}, code: 1<<32 - 1},
		"panic":      {in: executor.CommandInput{Args: []string{"tool", "panic:why"}}, stderr: "panic: why\n", code: 2},
		"no files":   {in: executor.CommandInput{Args: []string{"tool", "read:/etc/passwd"}}, stdout: "open /etc/passwd: Not implemented on wasip1\n"},
		"large":      {in: executor.CommandInput{Args: []string{"tool", "flood:1000"}}, stdout: strings.Repeat(strings.Repeat("x", 1023)+"\n", 1000)},
		"large args": {in: executor.CommandInput{Args: []string{"tool", "exit:7", strings.Repeat("x", 60_000)}}, code: 7},
	} {
		for range 2 {
			f := executor.Submit(t.Context(), ex, fn, tc.in)
			got, err := wait(t, f)
			require.NoError(t, err, name)
			require.Equal(t, tc.stdout, string(got.Stdout), name)
			require.Contains(t, string(got.Stderr), tc.stderr, name)
			require.Equal(t, tc.stderr == "", len(got.Stderr) == 0, name)
			require.Equal(t, tc.code, got.ExitCode, name)
			require.Equal(t, startmethod.Precompiled, f.Usage().StartMethod)
			require.Contains(t, f.Usage().Fallback, "a command's instance ends")
		}
	}
	require.Empty(t, logged.String(), "what a command prints is its result")
	require.Zero(t, ex.Stats().WorkersDied)
	captured(t, ex, 0)
}

func TestCommand_methods(t *testing.T) {
	t.Parallel()
	ex, fn := newExecutor(t, executor.Options{Workers: 1}), tinyCommand(t)
	for asked, want := range map[startmethod.Method]startmethod.Method{
		startmethod.Fresh: startmethod.Fresh, startmethod.Precompiled: startmethod.Precompiled,
		startmethod.Snapshot: startmethod.Precompiled, startmethod.Warm: startmethod.Precompiled,
	} {
		fn.StartMethod = asked
		for range 3 {
			f := executor.Submit(t.Context(), ex, fn, executor.CommandInput{})
			got, err := wait(t, f)
			require.NoError(t, err)
			require.Equal(t, 1, got.ExitCode, "nothing of the run before is left")
			require.Equal(t, want, f.Usage().StartMethod)
			require.Equal(t, asked == want, f.Usage().Fallback == "")
		}
	}
}

// tinyCommand counts in its memory and exits with the count.
func tinyCommand(t *testing.T) commandFunc {
	t.Helper()
	m := new(guesttest.Module)
	exit := m.Import("wasi_snapshot_preview1", "proc_exit", guesttest.Sig([]guesttest.ValueType{guesttest.I32}))
	global := m.Global(guesttest.I32, 0)
	body := new(guesttest.Code).GlobalGet(global).I32(1).Add().GlobalSet(global).GlobalGet(global).Call(exit)
	m.Export("_start", m.Func(guesttest.Sig(nil), nil, body))
	m.Memory(1, 1)
	return executor.Command(tiny(t, "count", m.Bytes()))
}

// A command that traps or comes to a limit is an error.
func TestCommand_errors(t *testing.T) {
	t.Parallel()
	ex, fn := newExecutor(t, executor.Options{Workers: 1}), worldCommand(t)
	run := func(limits executor.Limits, in executor.CommandInput) error {
		fn := fn
		fn.Limits = limits
		_, err := call(t, ex, fn, in)
		require.Error(t, err)
		return err
	}
	args := func(a ...string) executor.CommandInput {
		return executor.CommandInput{Args: append([]string{"tool"}, a...)}
	}
	const kib = 1 << 10
	require.Equal(t, &executor.LimitError{Limit: "output", Max: 10 * kib, Used: 11 * kib}, run(executor.Limits{Output: 10 * kib}, args("flood:11")))
	require.ErrorIs(t, run(executor.Limits{Input: 50}, executor.CommandInput{Stdin: make([]byte, 51)}), &executor.LimitError{Limit: "input"})
	require.ErrorIs(t, run(executor.Limits{Wall: 100 * time.Millisecond}, args("spin")), &executor.LimitError{Limit: "wall"})

	fits := fn
	fits.Limits.Output = 10 * kib
	got, err := call(t, ex, fits, args("flood:10"))
	require.NoError(t, err)
	require.Len(t, got.Stdout, 10*kib)

	m := new(guesttest.Module)
	m.Export("_start", m.Func(guesttest.Sig(nil), nil, new(guesttest.Code).Unreachable()))
	m.Memory(1, 1)
	_, err = call(t, ex, executor.Command(tiny(t, "trap", m.Bytes())), executor.CommandInput{})
	require.ErrorIs(t, err, &executor.GuestError{Func: "_start", Code: executor.CodeTrap})
	require.ErrorContains(t, err, "unreachable")
}

func TestCommand_refused(t *testing.T) {
	t.Parallel()
	ex, fn := newExecutor(t, executor.Options{Workers: 1}), tinyCommand(t)
	for name, tc := range map[string]struct {
		in     executor.CommandInput
		grants executor.Grants
		option string
	}{
		"NUL in args": {in: executor.CommandInput{Args: []string{"\x00"}}, option: "CommandInput.Args"},
		"many args":   {in: executor.CommandInput{Args: make([]string, 1001)}, option: "CommandInput.Args"},
		"no key":      {in: executor.CommandInput{Env: []string{"A"}}, option: "CommandInput.Env"},
		"args twice":  {grants: executor.Grants{Args: []string{"a"}}, option: "Func.Grants.Args"},
		"env twice":   {grants: executor.Grants{Env: []string{"A=1"}}, option: "Func.Grants.Env"},
		"stdin twice": {grants: executor.Grants{Stdin: []byte("a")}, option: "Func.Grants.Stdin"},
		"clock":       {grants: executor.Grants{Clock: executor.Clock{Resolution: -1}}, option: "Func.Grants.Clock"},
	} {
		fn := fn
		fn.Grants = tc.grants
		_, err := call(t, ex, fn, tc.in)
		var oe *executor.OptionError
		require.ErrorAs(t, err, &oe, name)
		require.Equal(t, tc.option, oe.Option)
	}
	// Functions are no commands, and commands no functions.
	for want, err := range map[string]error{
		"it has functions that are called by name": second(call(t, ex, executor.Command(echoFunc(t).Module), executor.CommandInput{})),
		"the module is a WASI command":             second(call(t, ex, raw{Module: fn.Module, Name: "_start"}, nil)),
		"Func.Module: is nil":                      second(call(t, ex, executor.Command(nil), executor.CommandInput{})),
	} {
		require.ErrorContains(t, err, want)
	}
}

func second[T any](_ T, err error) error { return err }

// Results of pure commands are kept, by all that they depend on.
func TestCommand_pure(t *testing.T) {
	t.Parallel()
	ex, fn := newExecutor(t, executor.Options{Workers: 1}), worldCommand(t)
	fn.Pure = true
	seen := map[bool]int{}
	for range 2 {
		for _, in := range []executor.CommandInput{
			{Args: []string{"tool", "cat"}},
			{Args: []string{"tool", "cat"}, Stdin: []byte("1")},
			{Args: []string{"tool", "cat"}, Env: []string{"A=1"}},
			{Args: []string{"tool", "exit:1"}},
		} {
			f := executor.Submit(t.Context(), ex, fn, in)
			got, err := wait(t, f)
			require.NoError(t, err)
			require.Equal(t, string(in.Stdin), string(got.Stdout))
			seen[f.Usage().Cached]++
		}
	}
	require.Equal(t, map[bool]int{true: 4, false: 4}, seen)
}

func TestCommand_prewarm(t *testing.T) {
	t.Parallel()
	ex, fn := newExecutor(t, executor.Options{Workers: 1}), tinyCommand(t)
	require.NoError(t, ex.Prewarm(t.Context(), 1, fn.Module))
	f := executor.Submit(t.Context(), ex, fn, executor.CommandInput{})
	got, err := wait(t, f)
	require.NoError(t, err)
	require.Equal(t, 1, got.ExitCode)
}
