package executor_test

import (
	"bytes"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/benchtest"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
)

var (
	sandboxRounds = flag.Int("sandbox.rounds", 200, "BenchmarkSandbox: processes started with each sandbox")
	sandboxCalls  = flag.Int("sandbox.calls", 100, "BenchmarkSandbox: calls of each round")
)

// A walled is an executor with one kind of sandbox, and what was measured of it.
type walled struct {
	name        string
	ex          *executor.Executor
	inForce     []string
	start, call benchtest.Series
}

// measure starts a process and makes calls of 64 bytes, one after another.
func (w *walled) measure(b *testing.B, fn raw) {
	b.Helper()
	took, inForce, err := executor.Spawn(w.ex)
	require.NoError(b, err)
	w.start.Add(took)
	w.inForce = inForce
	payload := bytes.Repeat([]byte("x"), 64)
	for range *sandboxCalls {
		began := time.Now()
		out, err := executor.Submit(b.Context(), w.ex, fn, payload).Wait(b.Context())
		w.call.Add(time.Since(began))
		require.NoError(b, err)
		require.Len(b, out, len(payload))
	}
}

// BenchmarkSandbox measures what the filters cost: from the launch of a worker to its
// READY, and for a call there and back. Both kinds take turns, so that they meet the same machine. It
// prints a table: make bench-limits.
func BenchmarkSandbox(b *testing.B) {
	for b.Loop() {
		kinds := []*walled{{name: "BestEffort"}, {name: "NoSandbox"}}
		m, err := serialize.NewModule("echo", guesttest.TinyEcho())
		require.NoError(b, err)
		fn := raw{Module: m, Name: "echo"}
		for i, mode := range []executor.SandboxMode{executor.BestEffort, executor.NoSandbox} {
			kinds[i].ex, err = executor.New(&executor.Options{Workers: 1, CacheDir: executor.NoCacheDir, Sandbox: mode, CallsPerWorker: -1, WorkerAge: -1})
			require.NoError(b, err)
			kinds[i].measure(b, fn)
			kinds[i].start, kinds[i].call = benchtest.Series{}, benchtest.Series{} // the first has loaded the module
		}
		for i := range *sandboxRounds {
			kinds[i%2].measure(b, fn)
			kinds[1-i%2].measure(b, fn)
		}
		fmt.Printf("\nWhat the sandbox costs: processes started with each: %d, calls of 64 bytes: %d; load %s\n", *sandboxRounds, *sandboxRounds**sandboxCalls, benchtest.Load())
		fmt.Println("| sandbox | start: least | median | p99 | call: least | median | p99 |\n| --- | --- | --- | --- | --- | --- | --- |")
		for _, w := range kinds {
			fmt.Printf("| %s | %s | %s | %s | %s | %s | %s |\n", w.name, benchtest.Time(w.start.Min()), benchtest.Time(w.start.Median()), benchtest.Time(w.start.P99()),
				benchtest.Time(w.call.Min()), benchtest.Time(w.call.Median()), benchtest.Time(w.call.P99()))
		}
		for _, w := range kinds {
			fmt.Printf("%s: %s\n", w.name, strings.Join(w.inForce, ", "))
			require.EqualValues(b, 1, w.ex.Stats().WorkersStarted, "all calls were served by one worker")
			require.NoError(b, w.ex.Close())
		}
	}
}
