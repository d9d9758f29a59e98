package wasmworker_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/benchtest"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
	"github.com/sandpool/sandpool/wasmworker"
)

var (
	startRounds = flag.Int("start.rounds", 8, "BenchmarkStart: rounds, in which all that is compared takes turns")
	startBox    = flag.Duration("start.box", 40*time.Millisecond, "BenchmarkStart: time of a guest and method in a round; one call is made at least")
	startClones = flag.Int("start.clones", 1000, "BenchmarkStart: live clones of a guest whose memory is measured")
	startJSON   = flag.String("start.json", "", "BenchmarkStart: file to write the figures to")
)

const (
	startCalls      = 2000 // of a guest and method in a round, at most
	startFresh      = 2    // rounds of startmethod.Fresh, which compiles
	startWarmUp     = 300
	startRawClones  = 100
	startRawAtMost  = 1 << 30 // bytes that instances of wazero by itself may take
	startInputBytes = 64
)

// rawMethod is the row of wazero by itself, to which all others are compared.
const rawMethod = "wazero"

// startMethods are the rows of each guest.
var startMethods = []startmethod.Method{
	startmethod.Fresh, startmethod.Precompiled, startmethod.Snapshot, startmethod.Warm,
}

// BenchmarkStart compares the start methods with each other and with wazero by
// itself, and prints a table of its own: make bench-start.
func BenchmarkStart(b *testing.B) {
	cases, notices := startCases(b)
	r := &startReport{Machine: benchtest.ThisMachine(), Notices: notices, LoadBefore: benchtest.Load(), Began: time.Now()}
	r.Machine.Wazero = wazeroVersion(b)
	for b.Loop() {
		measureCalls(b, r, cases)
		measureMemory(b, r, cases)
		measureLatency(b, r, cases)
	}
	r.LoadAfter, r.Took = benchtest.Load(), time.Since(r.Began)
	r.judge(cases)
	r.print(cases)
	require.NoError(b, r.write(*startJSON))
}

// BenchmarkServeCall is a call in a worker, for profiles: what BenchmarkStart prints,
// in the usual form.
func BenchmarkServeCall(b *testing.B) {
	cases, _ := startCases(b)
	server, err := wasmworker.NewStartBench()
	require.NoError(b, err)
	defer func() { require.NoError(b, server.Close()) }()
	for _, guest := range cases {
		for _, method := range []startmethod.Method{startmethod.Precompiled, startmethod.Snapshot, startmethod.Warm} {
			slot, err := server.Load(guest.wasm, "echo", method)
			require.NoError(b, err)
			b.Run(guest.name+"/"+string(method), func(b *testing.B) {
				defer debug.SetGCPercent(debug.SetGCPercent(-1))
				b.ReportAllocs()
				_, _, err := server.Run(slot, startInput, b.N, time.Hour)
				require.NoError(b, err)
			})
		}
	}
}

// TestStart_settled wants images of Go guests in which calls need not collect what
// the initialization has left: this one would in each, and write to 187 pages of 4
// KiB at that.
func TestStart_settled(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("compiles a large guest")
	}
	server, err := wasmworker.NewStartBench()
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Close()) }()
	slot, err := server.Load(guesttest.Bytes(t, "heavy"), "echo", startmethod.Snapshot)
	require.NoError(t, err)
	for range 3 {
		_, output, err := server.Run(slot, startInput, 2, time.Minute)
		require.NoError(t, err)
		require.NoError(t, checkEcho(output))
		dirty, err := server.Dirty(slot)
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		}
		require.NoError(t, err)
		require.Less(t, dirty, uint64(100*4096))
	}
}

// wazeroVersion asks the go command: test binaries do not say what they are made of.
func wazeroVersion(b *testing.B) string {
	b.Helper()
	out, err := exec.CommandContext(b.Context(), "go", "list", "-m", "-f", "{{.Version}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// A startRunner makes calls of one guest in one way, no more than n and no longer
// than the box, but one.
type startRunner func(n int, box time.Duration, c *startCell) error

// measureCalls measures what a call takes a worker, and wazero by itself.
func measureCalls(b *testing.B, r *startReport, cases []startCase) {
	b.Helper()
	server, err := wasmworker.NewStartBench()
	require.NoError(b, err)
	defer func() { require.NoError(b, server.Close()) }()
	var all []func(round int)
	for _, guest := range cases {
		raw, err := benchtest.NewRaw(b.Context(), guest.wasm)
		require.NoError(b, err, guest.name)
		defer raw.Close(context.Background())
		all = append(all, turn(b, r.cell(guest.name, rawMethod), runRaw(b.Context(), raw)))
		for _, method := range startMethods {
			slot, err := server.Load(guest.wasm, "echo", method)
			require.NoError(b, err, guest.name)
			cell := r.cell(guest.name, string(method))
			run := turn(b, cell, runServer(server, slot))
			all = append(all, func(round int) {
				if method == startmethod.Fresh && round >= startFresh {
					return
				}
				run(round)
				if method == startmethod.Snapshot {
					cell.Image = server.Image(slot)
					cell.Dirty, err = server.Dirty(slot)
					require.True(b, err == nil || errors.Is(err, errors.ErrUnsupported), err)
				}
			})
		}
	}
	for round := range *startRounds {
		for _, run := range all {
			run(round)
		}
	}
}

// turn returns what makes a cell's calls of one round; the first round warms up
// before.
func turn(b *testing.B, cell *startCell, run startRunner) func(round int) {
	b.Helper()
	return func(round int) {
		runtime.GC()
		if round == 0 && cell.Method != string(startmethod.Fresh) {
			require.NoError(b, run(startWarmUp, *startBox, new(startCell)), cell.Guest)
		}
		require.NoError(b, run(startCalls, *startBox, cell), "%s, %s", cell.Guest, cell.Method)
	}
}

var startInput = bytes.Repeat([]byte("sandpool"), startInputBytes/8)

// runServer has a worker's server make the calls, which collects its garbage itself.
func runServer(server *wasmworker.StartBench, slot uint32) startRunner {
	return func(n int, box time.Duration, c *startCell) error {
		defer debug.SetGCPercent(debug.SetGCPercent(-1))
		samples, output, err := server.Run(slot, startInput, n, box)
		if err != nil {
			return err
		}
		for _, s := range samples {
			c.Answer.Add(s.Answer)
			c.Ready.Add(s.Ready)
		}
		return checkEcho(output)
	}
}

// runRaw makes the calls in a process with the garbage collector as it is.
func runRaw(ctx context.Context, raw *benchtest.Raw) startRunner {
	return func(n int, box time.Duration, c *startCell) error {
		end := time.Now().Add(box)
		for i := 0; i < n && (i == 0 || time.Now().Before(end)); i++ {
			output, answer, ready, err := raw.Call(ctx, startInput)
			if err != nil {
				return err
			}
			if err := checkEcho(output); err != nil {
				return err
			}
			c.Answer.Add(answer)
			c.Ready.Add(ready)
		}
		return nil
	}
}

func checkEcho(output []byte) error {
	if !bytes.Equal(output, startInput) {
		return fmt.Errorf("the guest answered %q", output)
	}
	return nil
}
