package executor_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/census"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/wasmworker"
)

// roleEnv makes the test binary impersonate a broken worker; see roles_test.go.
const roleEnv = "SANDPOOL_TEST_ROLE"

func TestMain(m *testing.M) {
	maps.Copy(roles, captureRoles())
	if role := os.Getenv(roleEnv); role != "" {
		roles[role]()
		os.Exit(0)
	}
	wasmworker.Main()
	goleak.VerifyTestMain(census.Checked(rolesChecked{m}))
}

// rolesChecked runs the tests and fails a full run that left a role unused.
type rolesChecked struct{ m *testing.M }

func (r rolesChecked) Run() int {
	code := r.m.Run()
	if missing := unusedRoles(); code == 0 && len(missing) > 0 && !filtered() {
		fmt.Printf("roles that no test used: %q\n", missing)
		return 1
	}
	return code
}

// hang is how long a test waits for what must happen.
const hang = 2 * time.Minute

// itself, as a worker's path, is this program, which newExecutor spares the tests
// otherwise: it starts half as fast as one that is nothing but a worker, and what it
// compiles is for no other program.
const itself = "itself"

// newExecutor returns an executor that the test closes.
func newExecutor(t *testing.T, o executor.Options) *executor.Executor {
	t.Helper()
	if o.CacheDir == "" {
		o.CacheDir = guesttest.CodeCache(t)
	}
	if o.Workers == 0 {
		o.Workers = 2
	}
	switch o.WorkerPath {
	case "":
		o.WorkerPath = guesttest.Worker(t)
	case itself:
		o.WorkerPath = ""
	}
	ex, err := executor.New(&o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ex.Close()) })
	return ex
}

// fixture is the Go guest with a function for everything.
func fixture(t *testing.T) *serialize.Module {
	t.Helper()
	return load(t, guesttest.Build(t, "fixture"))
}

var loaded sync.Map // of *serialize.Module, by path

// load loads a module, once for all tests.
func load(t *testing.T, path string) *serialize.Module {
	t.Helper()
	if m, ok := loaded.Load(path); ok {
		return m.(*serialize.Module)
	}
	m, err := serialize.LoadModule(path)
	require.NoError(t, err)
	loaded.Store(path, m)
	return m
}

func tiny(t *testing.T, name string, wasm []byte) *serialize.Module {
	t.Helper()
	m, err := serialize.NewModule(name, wasm)
	require.NoError(t, err)
	return m
}

// raw is a function from bytes to bytes.
type raw = executor.Func[[]byte, []byte]

func echoFunc(t *testing.T) raw {
	t.Helper()
	return raw{Module: tiny(t, "echo", guesttest.TinyEcho()), Name: "echo"}
}

func spinFunc(t *testing.T) raw {
	t.Helper()
	return raw{Module: tiny(t, "spin", guesttest.TinySpin()), Name: "spin"}
}

// A holder is a guest that says so and then never returns.
type holder struct {
	fn    raw
	lines chan struct{} // one for each call that has begun; as many as a test starts
}

// Handle implements slog.Handler: a record is a call that has begun.
func (h *holder) Handle(context.Context, slog.Record) error {
	h.lines <- struct{}{}
	return nil
}

func (*holder) Enabled(context.Context, slog.Level) bool { return true }

func (h *holder) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h *holder) WithGroup(string) slog.Handler { return h }

// newHolder returns one and an executor that hears it.
func newHolder(t *testing.T, o executor.Options) (*executor.Executor, *holder) {
	t.Helper()
	guest := guesttest.NewTiny()
	body := new(guesttest.Code).I32(0).Append(guest.Text("begun")).Call(guest.Log).Loop().Br(0).End().Unreachable()
	wasm := guest.Finish("hold", [2]uint32{1, 1}, nil, body)
	h := &holder{fn: raw{Module: tiny(t, "hold", wasm), Name: "hold"}, lines: make(chan struct{}, 100)}
	o.GuestLog = slog.New(h)
	return newExecutor(t, o), h
}

// begun waits until the guest of one more call runs.
func (h *holder) begun(t *testing.T) {
	t.Helper()
	select {
	case <-h.lines:
	case <-time.After(hang):
		t.Fatal("the guest does not begin")
	}
}

// call submits and waits.
func call[In, Out any](t *testing.T, ex *executor.Executor, fn executor.Func[In, Out], in In) (Out, error) {
	t.Helper()
	return wait(t, executor.Submit(t.Context(), ex, fn, in))
}

// wait fails the test when f takes too long.
func wait[T any](t *testing.T, f *executor.Future[T]) (T, error) {
	t.Helper()
	select {
	case <-f.Done():
	case <-time.After(hang):
		t.Fatalf("the call hangs, %v", f.State())
	}
	return f.Wait(t.Context())
}

// running waits until a worker has the call and returns the worker's process.
func running[T any](t *testing.T, f *executor.Future[T]) int {
	t.Helper()
	require.Eventually(t, func() bool { return f.State() != executor.Queued }, hang, time.Millisecond)
	require.Equal(t, executor.Running, f.State(), "%v", f.Err())
	return f.Usage().PID
}

// processGone waits until no process has the number.
func processGone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool { return !alive(pid) }, hang, time.Millisecond, "process %d is still there", pid)
}

// script writes a program that runs the test binary in a role.
func script(t *testing.T, role string) string {
	t.Helper()
	useRole(role)
	exe, err := os.Executable()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "worker")
	text := fmt.Sprintf("#!/bin/sh\n%s=%s exec %s\n", roleEnv, role, strconv.Quote(exe))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o700))
	return path
}
