package leak_test

import (
	"bytes"
	"flag"
	"log/slog"
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
	wasmworker.Main()
	goleak.VerifyTestMain(census.Checked(m))
}

const (
	// hang is how long a call may take.
	hang = 2 * time.Minute
	// window is how many calls are under way at a time.
	window = 128

	memoryLimit = 32 << 20
	outputLimit = 256 << 10
)

const (
	snapshot = startmethod.Snapshot
	warm     = startmethod.Warm
)

// full is the size of make leak.
var full = flag.Bool("leak.full", false, "make all the calls, not a tenth of them")

// raw is a function of these guests, future a call of one.
type (
	raw    = executor.Func[[]byte, []byte]
	future = executor.Future[[]byte]
)

// newExecutor returns an executor with one worker, which is not replaced as long
// as it lives.
func newExecutor(t *testing.T, o executor.Options) *executor.Executor {
	t.Helper()
	o.Workers = 1
	o.CallsPerWorker, o.WorkerAge, o.WorkerGrowth, o.IdleTimeout = -1, -1, -1, -1
	o.CacheDir, o.WorkerPath = guesttest.CodeCache(t), guesttest.Worker(t)
	o.Env = append(o.Env, wasmworker.AuditVariable+"=100")
	o.Limits = executor.Limits{Wall: hang, Memory: memoryLimit, Output: outputLimit}
	ex, err := executor.New(&o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ex.Close()) })
	return ex
}

func module(t *testing.T, wasm []byte) *serialize.Module {
	t.Helper()
	m, err := serialize.NewModule("guest", wasm)
	require.NoError(t, err)
	return m
}

// share is how many calls of n a run makes.
func share(n int) int {
	if *full {
		return n
	}
	return max(n/10, 5)
}

// slow skips what compiles a Go guest at every call, which takes seconds each. The
// matrix itself does it in any case but under the race detector: the host, which is all
// that has it, does the same for other guests.
func slow(t *testing.T, method startmethod.Method, guest string) {
	t.Helper()
	if method == startmethod.Fresh && guest == "go" && !*full {
		t.Skip("compiles a Go guest at every call: make leak runs it")
	}
}

// inWindows makes n calls, some at a time, and has each looked at in the order
// of Submit.
func inWindows(n int, submit func(i int) *future, settle func(i int, f *future)) {
	var queue []*future
	settled := 0
	next := func() {
		settle(settled, queue[0])
		settled++
		queue = queue[1:]
	}
	for i := range n {
		queue = append(queue, submit(i))
		if len(queue) == window {
			next()
		}
	}
	for len(queue) > 0 {
		next()
	}
}

// A record keeps what guests log.
type record struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

// Write implements io.Writer.
func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

func (r *record) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }
