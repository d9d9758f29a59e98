package parity_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/census"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
	"github.com/sandpool/sandpool/wasmworker"
)

func TestMain(m *testing.M) {
	reportEnviron()
	wasmworker.Main()
	if runHost() {
		return
	}
	goleak.VerifyTestMain(census.Checked(hostsChecked{m}))
}

// hang is how long a test waits for what must happen.
const hang = 2 * time.Minute

// options fills in what an executor of these tests needs.
func options(t *testing.T, o executor.Options) executor.Options {
	t.Helper()
	if o.CacheDir == "" {
		o.CacheDir = guesttest.CodeCache(t)
	}
	if o.Workers == 0 {
		o.Workers = 2
	}
	if o.WorkerPath == "" && raceEnabled {
		o.WorkerPath = guesttest.Worker(t)
	}
	return o
}

// newExecutor returns an executor that the test closes.
func newExecutor(t *testing.T, o executor.Options) *executor.Executor {
	t.Helper()
	o = options(t, o)
	ex, err := executor.New(&o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ex.Close()) })
	return ex
}

// eachMethod runs a subtest for every start method, as loky runs its tests in
// every context.
func eachMethod(t *testing.T, run func(t *testing.T, method startmethod.Method)) {
	t.Helper()
	for _, method := range startmethod.Methods() {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			run(t, method)
		})
	}
}

// raw is a function from bytes to bytes.
type raw = executor.Func[[]byte, []byte]

// future is a raw call's.
type future = executor.Future[[]byte]

// fixture is the Go guest with a function for everything. It takes a second to
// compile where the start method is Fresh.
func fixture(t *testing.T) *serialize.Module {
	t.Helper()
	m, err := serialize.LoadModule(guesttest.Build(t, "fixture"))
	require.NoError(t, err)
	return m
}

func tiny(t *testing.T, name string, wasm []byte) *serialize.Module {
	t.Helper()
	m, err := serialize.NewModule(name, wasm)
	require.NoError(t, err)
	return m
}

// tinyFunc is the only function of a tiny module, which has the module's name.
func tinyFunc(t *testing.T, name string, wasm []byte) raw {
	t.Helper()
	return raw{Module: tiny(t, name, wasm), Name: name}
}

// echoFunc returns its input.
func echoFunc(t *testing.T) raw {
	t.Helper()
	return tinyFunc(t, "echo", guesttest.TinyEcho())
}

// trapFunc fails.
func trapFunc(t *testing.T) raw {
	t.Helper()
	return tinyFunc(t, "trap", guesttest.TinyTrap())
}

// spinFunc never returns. A holder's function does not either, and says when it
// has begun.
func spinFunc(t *testing.T) raw {
	t.Helper()
	return tinyFunc(t, "spin", guesttest.TinySpin())
}

// lines is a slog.Handler that hands on each record it is given.
type lines chan slog.Record

func (l lines) Handle(_ context.Context, r slog.Record) error {
	l <- r
	return nil
}

func (lines) Enabled(context.Context, slog.Level) bool { return true }

func (l lines) WithAttrs([]slog.Attr) slog.Handler { return l }

func (l lines) WithGroup(string) slog.Handler { return l }

// A holder is a guest that says that it has begun and then never returns. It is
// heard by executors that have its log.
type holder struct {
	fn    raw
	log   *slog.Logger // for Options.GuestLog
	lines lines
}

// newHold returns a holder for executors that the test makes itself.
func newHold(t *testing.T) *holder {
	t.Helper()
	guest := guesttest.NewTiny()
	body := new(guesttest.Code).I32(0).Append(guest.Text("begun")).Call(guest.Log).Loop().Br(0).End().Unreachable()
	l := make(lines, 1000) // more calls than a test has begin
	return &holder{
		fn:  tinyFunc(t, "hold", guest.Finish("hold", [2]uint32{1, 1}, nil, body)),
		log: slog.New(l), lines: l,
	}
}

// newHolder returns a holder and an executor that hears it.
func newHolder(t *testing.T, o executor.Options) (*executor.Executor, *holder) {
	t.Helper()
	h := newHold(t)
	o.GuestLog = h.log
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

// A gate is a guest that returns its input once the test opens the gate: a call
// that takes as long as the test wants, and no processor time. Its executor is its
// own.
type gate struct {
	fn     raw
	begins lines
	opened chan struct{}
	once   sync.Once
}

// Handle holds the guest's log line, and so the guest, at the gate.
func (g *gate) Handle(ctx context.Context, r slog.Record) error {
	if err := g.begins.Handle(ctx, r); err != nil {
		return err
	}
	<-g.opened
	return nil
}

func (*gate) Enabled(context.Context, slog.Level) bool { return true }

func (g *gate) WithAttrs([]slog.Attr) slog.Handler { return g }

func (g *gate) WithGroup(string) slog.Handler { return g }

// newGate returns a gate and the executor that it works in. The gate opens when
// the test ends, if not before: until then the executor cannot be closed while a
// call is at the gate.
func newGate(t *testing.T, o executor.Options) (*executor.Executor, *gate) {
	t.Helper()
	guest := guesttest.NewTiny()
	const n = 3 // the first local after the parameters
	body := new(guesttest.Code).
		I32(0).Append(guest.Text("begun")).Call(guest.Log).
		I32(0).I32(0).I32(1 << 10).Call(guest.Read).Set(n).
		I32(0).Get(n).Call(guest.Write).I32(0)
	g := &gate{
		fn:     tinyFunc(t, "gate", guest.Finish("gate", [2]uint32{1, 1}, []guesttest.ValueType{guesttest.I32}, body)),
		begins: make(lines, 1000), // more calls than a test has begin
		opened: make(chan struct{}),
	}
	o.GuestLog = slog.New(g)
	ex := newExecutor(t, o)
	t.Cleanup(g.open)
	return ex, g
}

// begun waits until one more call is at the gate.
func (g *gate) begun(t *testing.T) {
	t.Helper()
	select {
	case <-g.begins:
	case <-time.After(hang):
		t.Fatal("no call gets to the gate")
	}
}

// open lets every call through, now and later.
func (g *gate) open() { g.once.Do(func() { close(g.opened) }) }

// call submits and waits.
func call[In, Out any](t *testing.T, ex *executor.Executor, fn executor.Func[In, Out], in In) (Out, error) {
	t.Helper()
	return wait(t, executor.Submit(t.Context(), ex, fn, in))
}

// echoes checks that the executor serves.
func echoes(t *testing.T, ex *executor.Executor) {
	t.Helper()
	out, err := call(t, ex, echoFunc(t), []byte("served"))
	require.NoError(t, err)
	require.Equal(t, "served", string(out))
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

// workerKilled checks that err is of a worker that died by SIGKILL.
func workerKilled(t *testing.T, err error, pid int) {
	t.Helper()
	we, ok := errors.AsType[*executor.WorkerError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, pid, we.PID)
	require.Equal(t, "SIGKILL", we.Signal)
	require.ErrorContains(t, err, "SIGKILL")
}

// environDir names, in a worker's environment, the directory that takes a copy of it.
const environDir = "SANDPOOL_PARITY_ENVIRON"

// reportEnviron writes the environment that this process was started with where
// the environment says, one file for each process.
func reportEnviron() {
	dir := os.Getenv(environDir)
	if dir == "" {
		return
	}
	f, err := os.CreateTemp(dir, "writing-*")
	if err != nil {
		panic(err)
	}
	for _, entry := range os.Environ() {
		fmt.Fprintln(f, entry)
	}
	if err := f.Close(); err != nil {
		panic(err)
	}
	if err := os.Rename(f.Name(), fmt.Sprintf("%s/%d", dir, os.Getpid())); err != nil {
		panic(err)
	}
}
