package main

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/wasmworker"
)

var update = flag.Bool("update", false, "rewrite the expected outputs in testdata/script")

func TestMain(m *testing.M) {
	wasmworker.Main() // the tool that a script runs is this binary, and so are its workers
	testscript.Main(m, map[string]func(){"sandpool": main})
}

// modules are what scripts find in their directory.
func modules(t *testing.T) map[string][]byte {
	t.Helper()
	fixture := guesttest.Bytes(t, "fixture")
	command, err := os.ReadFile(guesttest.BuildCommand(t, "world"))
	require.NoError(t, err)

	return map[string][]byte{
		"fixture.wasm":   fixture,
		"hosted.wasm":    guesttest.Bytes(t, "hosted"),
		"command.wasm":   command,
		"truncated.wasm": fixture[:len(fixture)/2],
		"text.wasm":      []byte("not wasm at all"),
		"empty.wasm":     nil,
		"library.wasm":   guesttest.TinyNoABI(),
		"badimport.wasm": guesttest.TinyBadImport(),
		"echo.wasm":      guesttest.TinyEcho(),
		"table.wasm":     guesttest.TinyStateTable(),
		"trap.wasm":      guesttest.TinyTrap(),
		"starttrap.wasm": guesttest.TinyStartTrap(),
		"big.wasm":       guesttest.TinyMemory(2000),
		"strange.wasm":   strangeModule(),
	}
}

// strangeModule has an import and an export that would drive a terminal.
func strangeModule() []byte {
	tiny := guesttest.NewTiny()
	tiny.Import("env\x1b[2J", "esc\u202eape", guesttest.Sig(nil))
	body := (&guesttest.Code{}).I32(0)
	return tiny.Finish("strange", [2]uint32{1, guesttest.NoMax}, nil, body)
}

// warmed compiles the fixture for cacheDir.
var warmed sync.Once

// cacheDir is one cache for all tests and runs. It is private, as the tool wants
// it, and what guests in Go there are is compiled in it, once and not by all tests at a time.
func cacheDir(t *testing.T) string {
	t.Helper()
	if raceEnabled {
		t.Skip("the tool is this program, and its compiler takes minutes under the race detector")
	}
	dir := filepath.Join(os.TempDir(), "sandpool-cli-test-"+strconv.Itoa(os.Getuid()))
	warmed.Do(func() {
		require.NoError(t, os.MkdirAll(dir, 0o700))
		for _, args := range [][]string{
			{"run", guesttest.Build(t, "fixture"), "upper", `"x"`, "--timeout", "5m"},
			{"run", guesttest.Build(t, "hosted"), "ticks", "0", "--timeout", "5m"},
		} {
			out, err := tool(t, dir, args...).CombinedOutput()
			require.NoError(t, err, "%s", out)
		}
	})
	return dir
}

func TestScripts(t *testing.T) {
	t.Parallel()
	files := modules(t)
	cache := cacheDir(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": cmdStatus,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_CACHE_HOME", cache)
			env.Setenv("LocalAppData", cache)
			env.Setenv("HOME", cache)
			for name, data := range files {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), data, 0o600); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// tool returns the tool as a command that is not a script's.
func tool(t *testing.T, cache string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("sandpool") // testscript.Main put it there
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+cache, "LocalAppData="+cache, "HOME="+cache)
	cmd.WaitDelay = time.Minute
	return cmd
}

// cmdStatus runs a command that has to exit with the given status, which is its
// first argument.
func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status code command [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}
