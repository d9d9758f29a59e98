package parity_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/census"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

func TestB1_lifeOfAWorker(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex, h := newHolder(t, executor.Options{StartMethod: method, Workers: 1})
		require.Zero(t, ex.Stats().WorkersStarted, "it is started by a call")
		f := executor.Submit(t.Context(), ex, h.fn, nil)
		h.begun(t)
		pid := running(t, f)
		require.NotEqual(t, os.Getpid(), pid)
		require.True(t, alive(pid))
		select {
		case <-f.Done():
			t.Fatal("the call ends by itself")
		default:
		}
		require.EqualValues(t, 1, ex.Stats().WorkersStarted)

		require.NoError(t, terminate(pid))
		_, err := wait(t, f) // the end of the process ends the call
		killedBy("SIGTERM")(t, err)
		we, _ := errors.AsType[*executor.WorkerError](err)
		require.Equal(t, pid, we.PID)
		eventually(t, func() bool { return !exists(pid) }, "process %d is reaped", pid)
		eventually(t, func() bool { return ex.Stats().WorkersDied == 1 }, "and counted")

		f = executor.Submit(t.Context(), ex, echoFunc(t), nil)
		_, err = wait(t, f)
		require.NoError(t, err)
		require.NoError(t, ex.Shutdown(t.Context()))
		require.False(t, exists(f.Usage().PID), "Shutdown has waited for it")
		s := ex.Stats()
		require.EqualValues(t, 2, s.WorkersStarted)
		require.EqualValues(t, 1, s.WorkersDied)
		require.EqualValues(t, 1, s.WorkersRetired)
		require.Zero(t, s.WorkersKilled)
	})
}

// children are the processes that this one has started and not reaped.
func children(t *testing.T) []int {
	t.Helper()
	var pids []int
	for _, child := range census.Take().Children {
		number, _, _ := strings.Cut(child, " ")
		pid, err := strconv.Atoi(number)
		require.NoError(t, err)
		pids = append(pids, pid)
	}
	return pids
}

func TestB2_books(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("children are listed in /proc")
	}
	const workers = 3
	ex, g := newGate(t, executor.Options{Workers: workers})
	count := func() [4]int {
		s := ex.Stats()
		return [4]int{s.Workers, s.Running, s.Idle, s.Queued}
	}
	require.Equal(t, [4]int{}, count())
	fs, pids := busy(t, ex, g, workers)
	fs = append(fs, executor.Submit(t.Context(), ex, g.fn, []byte("pending")))
	require.Equal(t, [4]int{workers, workers, 0, 1}, count())
	require.Subset(t, children(t), pids)
	g.open("0")
	g.begun(t) // the pending one
	require.Equal(t, pids[0], running(t, fs[workers]), "it has the worker that got free")
	require.Equal(t, [4]int{workers, workers, 0, 0}, count())
	g.open()
	for i, f := range fs {
		_, err := wait(t, f)
		require.NoError(t, err)
		require.Contains(t, pids, f.Usage().PID)
		require.Equal(t, f.Usage().PID, pids[f.Usage().Worker-1], "workers are counted from 1, call %d", i)
	}
	eventually(t, func() bool { return count() == [4]int{workers, 0, workers, 0} }, "all are idle")
	s := ex.Stats()
	require.EqualValues(t, workers, s.WorkersStarted)
	require.EqualValues(t, workers+1, s.Submitted)
	require.EqualValues(t, workers+1, s.Succeeded)
	require.NoError(t, ex.Close())
	require.Equal(t, [4]int{}, count())
	left := children(t)
	for _, pid := range pids {
		require.NotContains(t, left, pid)
	}
}

func TestB3_environment(t *testing.T) {
	t.Parallel()
	o, env := withEnviron(t, executor.Options{Workers: 1, Env: []string{"GREETING=hello", "EMPTY=", "TWICE=1", "TWICE=2", "GOTRACEBACK=all"}})
	ex := newExecutor(t, o)
	f := executor.Submit(t.Context(), ex, environFunc(t), nil)
	sizes, err := wait(t, f)
	require.NoError(t, err)
	require.Equal(t, make([]byte, 8), sizes, "guests see none of it")

	got := env.of(t, f.Usage().PID)
	require.Equal(t, "hello", got["GREETING"])
	require.Contains(t, got, "EMPTY")
	require.Empty(t, got["EMPTY"])
	require.Equal(t, "2", got["TWICE"], "the last one counts")
	require.Equal(t, "all", got["GOTRACEBACK"], "over what workers have otherwise")
	require.Equal(t, "2", got["GOMAXPROCS"], "which stays as it is for the rest")
	for _, key := range []string{"PATH", "HOME"} {
		if os.Getenv(key) != "" && runtime.GOOS != "windows" {
			require.NotContains(t, got, key, "the host's own is not handed on")
		}
	}
}

// recursive is a host that starts itself as often as its second argument says,
// one in the other, and then echoes how deep it is.
var recursive = newHost("recursive", func() {
	depth := must(strconv.Atoi(os.Args[2]))
	if depth > 0 {
		cmd := exec.CommandContext(context.Background(), must(os.Executable()), os.Args[1], strconv.Itoa(depth-1))
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		must(0, cmd.Run())
	}
	ex := must(executor.New(hostOptions(executor.Options{Workers: 1})))
	defer ex.Close()
	fmt.Printf("%s\n", must(executor.Submit(context.Background(), ex, hostFunc("echo"), fmt.Append(nil, depth)).Wait(context.Background())))
})

func TestB6_processesInProcesses(t *testing.T) {
	t.Parallel()
	t.Run("hosts", func(t *testing.T) {
		t.Parallel()
		out, err := recursive.command(t, moduleFile(t, guesttest.TinyEcho()), "2").CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, "0\n1\n2\n", string(out))
	})
	t.Run("guests", func(t *testing.T) {
		t.Parallel()
		g := guesttest.NewTiny()
		system := g.Import("env", "system", guesttest.Sig([]guesttest.ValueType{guesttest.I32}, guesttest.I32))
		fn := tinyFunc(t, "spawn", g.Finish("spawn", onePage, nil, g.Text("/bin/true\x00").Drop().Call(system)))
		_, err := call(t, newExecutor(t, executor.Options{}), fn, nil)
		me, ok := errors.AsType[*serialize.ModuleError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, serialize.MissingImport, me.Kind)
		require.Equal(t, "env.system", me.Name, "there is no way to start one")
	})
}

// tree is a host that has another one for a child, and so on, as deep as its
// second argument says. Each has a worker, with an endless call or, at an odd
// depth, without. All print their own process and the worker's, and stay until
// their standard input ends.
var tree = newHost("tree", func() {
	l := newLines()
	ex := must(executor.New(hostOptions(executor.Options{Workers: 1, MinWorkers: 1, GuestLog: slog.New(l)})))
	depth := must(strconv.Atoi(os.Args[2]))
	f := executor.Submit(context.Background(), ex, hostFunc("act"), []byte(actHold[depth%2:]))
	if depth%2 == 0 {
		<-l
	} else {
		must(f.Wait(context.Background()))
	}
	fmt.Printf("%d\n%d\n", os.Getpid(), f.Usage().PID)
	if depth == 0 {
		fmt.Println("ready")
	} else {
		cmd := exec.CommandContext(context.Background(), must(os.Executable()), os.Args[1], strconv.Itoa(depth-1))
		must(cmd.StdinPipe()) // held as long as this process lives
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		must(0, cmd.Start())
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
})

// TestB7_treeKilled kills the first of four hosts. The end of its standard input
// is what ends the next one, and the end of their host what ends workers.
func TestB7_treeKilled(t *testing.T) {
	t.Parallel()
	const levels = 4
	cmd := tree.command(t, moduleFile(t, actFunc(t).Module.Bytes()), strconv.Itoa(levels-1))
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer stdin.Close()
	pids, _ := processes(t, cmd)
	require.Len(t, unique(pids), 2*levels)
	endHost(cmd)
	require.Eventually(t, func() bool { return !slices.ContainsFunc(pids, alive) }, 5*time.Second, time.Millisecond, "a process of %v is still there", pids)
}

func TestB8_startMethodOptions(t *testing.T) {
	t.Parallel()
	echo := echoFunc(t)
	ex := newExecutor(t, executor.Options{})
	method, err := startmethod.Default()
	require.NoError(t, err)
	require.Equal(t, method, usedMethod(t, ex, echo))
	for _, method := range startmethod.Methods() {
		require.True(t, method.Valid())
		require.Equal(t, method, usedMethod(t, newExecutor(t, executor.Options{StartMethod: method}), echo), "the executor's")
		fn := echo
		fn.StartMethod = method
		for _, other := range startmethod.Methods() {
			require.Equal(t, method, usedMethod(t, newExecutor(t, executor.Options{StartMethod: other}), fn), "the function's goes first")
		}
	}
	for _, unknown := range []startmethod.Method{"sideways", "Fresh", "spawn", " "} {
		_, err := executor.New(&executor.Options{StartMethod: unknown})
		refused(t, err, "Options.StartMethod", string(unknown))
		fn := echo
		fn.StartMethod = unknown
		refused(t, executor.Submit(t.Context(), ex, fn, nil).Err(), "Func.StartMethod", string(unknown))
	}
}

// TestB8_setDefault is loky's set_start_method, set once unless forced.
func TestB8_setDefault(t *testing.T) {
	noDefault(t)
	used := func(o executor.Options) startmethod.Method {
		t.Helper()
		return usedMethod(t, newExecutor(t, o), echoFunc(t))
	}
	require.NoError(t, startmethod.SetDefault(startmethod.Fresh, false))
	require.Equal(t, startmethod.Fresh, used(executor.Options{}))
	require.Equal(t, startmethod.Precompiled, used(executor.Options{StartMethod: startmethod.Precompiled}), "options go first")
	for _, method := range []startmethod.Method{startmethod.Fresh, startmethod.Precompiled} {
		require.ErrorIs(t, startmethod.SetDefault(method, false), startmethod.ErrDefaultSet)
	}
	require.ErrorContains(t, startmethod.SetDefault("sideways", true), "sideways")
	require.Equal(t, startmethod.Fresh, used(executor.Options{}), "errors change nothing")
	require.NoError(t, startmethod.SetDefault(startmethod.Precompiled, true))
	require.Equal(t, startmethod.Precompiled, used(executor.Options{}))
	require.NoError(t, startmethod.SetDefault("", true))
	require.NoError(t, startmethod.SetDefault(startmethod.Fresh, false), "it was unset")
}

func TestB8_variable(t *testing.T) {
	noDefault(t)
	t.Setenv(startmethod.Variable, "Spawn")
	ex := newExecutor(t, executor.Options{})
	require.Equal(t, startmethod.Fresh, usedMethod(t, ex, echoFunc(t)))
	require.NoError(t, startmethod.SetDefault(startmethod.Precompiled, false))
	require.Equal(t, startmethod.Precompiled, usedMethod(t, newExecutor(t, executor.Options{}), echoFunc(t)), "SetDefault goes first")
	require.NoError(t, startmethod.SetDefault("", true))
	t.Setenv(startmethod.Variable, "sideways")
	_, err := executor.New(nil)
	refused(t, err, startmethod.Variable, "sideways")
	_, err = executor.New(&executor.Options{StartMethod: startmethod.Fresh, Workers: -1})
	refused(t, err, "Options.Workers", "-1")
	require.NotContains(t, err.Error(), startmethod.Variable, "it is not asked")
	require.Equal(t, startmethod.Fresh, usedMethod(t, ex, echoFunc(t)), "an executor keeps what it was made with")
}

// noDefault leaves the process without a default start method for the test, and
// afterwards. The test cannot be parallel.
func noDefault(t *testing.T) {
	t.Helper()
	t.Setenv(startmethod.Variable, "")
	require.NoError(t, startmethod.SetDefault("", true))
	t.Cleanup(func() { require.NoError(t, startmethod.SetDefault("", true)) })
}

// usedMethod is how a call of fn got its instance.
func usedMethod(t *testing.T, ex *executor.Executor, fn raw) startmethod.Method {
	t.Helper()
	f := executor.Submit(t.Context(), ex, fn, nil)
	_, err := wait(t, f)
	require.NoError(t, err)
	return f.Usage().StartMethod
}

// TestB9_mainWithoutGuard starts a program that knows nothing of workers in ways
// in which its file cannot be found by its name.
func TestB9_mainWithoutGuard(t *testing.T) {
	t.Parallel()
	if _, err := os.Readlink("/proc/self/exe"); err != nil {
		t.Skip("without /proc a program is found by its name")
	}
	program, module := autoProgram(t), moduleFile(t, guesttest.TinyEcho())
	for name, cmd := range map[string]*exec.Cmd{
		"another name": {Path: program, Args: []string{"-c", module}, Dir: t.TempDir()},
		"relative":     {Path: "./" + filepath.Base(program), Args: []string{"auto", module}, Dir: filepath.Dir(program)},
		// Deleted behind the open descriptor that it is executed from.
		"no file": exec.CommandContext(t.Context(), "sh", "-c",
			`cp "$1" "$1.copy" && exec 3<"$1.copy" && rm "$1.copy" && exec /proc/self/fd/3 "$2"`, "sh", program, module),
	} {
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		require.NoError(t, cmd.Run(), "%s: %s", name, &out)
		require.Equal(t, "main runs\nechoed\n", out.String(), name)
	}
}

// TestX1_nothingNamedIsLeft kills a host in the middle of everything and looks
// for files that it has left.
func TestX1_nothingNamedIsLeft(t *testing.T) {
	t.Parallel()
	cache, tmp := filepath.Join(t.TempDir(), "cache"), t.TempDir()
	cmd := occupied.command(t, moduleFile(t, holdGuest()), "work")
	cmd.Env = append(cmd.Env, hostCache+"="+cache, "TMPDIR="+tmp)
	pids, _ := processes(t, cmd)
	require.Len(t, pids, 2)
	endHost(cmd)
	processGone(t, pids...)
	require.Empty(t, files(t, tmp))
	for _, name := range files(t, "/dev/shm") {
		require.NotContains(t, name, "sandpool")
	}
	for _, name := range files(t, cache) {
		if name != "key" {
			require.Equal(t, ".entry", filepath.Ext(name), "compiled modules are what is to stay: %s", name)
		}
	}
}

// files are the names in a directory, none if there is none.
func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
