package wasmworker_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandpool/sandpool/internal/benchtest"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/wasmbin"
)

var limitsRounds = flag.Int("limits.rounds", 15, "BenchmarkLimits: rounds, in which all that is compared takes turns")

// A limitsWork is one computation of BenchmarkLimits.
type limitsWork struct {
	name     string
	guest    int
	function uint32
	codecs   uint32
	input    []byte
}

// The guests of BenchmarkLimits.
const (
	limitsC = iota
	limitsGo
)

// limitsVariants are the sides of the comparison; the first is what the others are
// compared to.
var limitsVariants = []struct {
	name  string
	mode  wasmbin.Mode
	close bool
}{
	{"wazero", wasmbin.Plain, false},
	{"flag", wasmbin.Flag, false},
	{"fuel", wasmbin.Fuel, false},
	{"CloseOnContextDone", wasmbin.Plain, true},
}

// BenchmarkLimits compares code that can be ended, and code that counts fuel, with wazero
// by itself and with its own way of ending code, and prints a table: make bench-limits.
func BenchmarkLimits(b *testing.B) {
	guests := map[int][]byte{limitsGo: guesttest.Bytes(b, "fixture")}
	var works []limitsWork
	wasm, reason := optional(b, func(tb testing.TB) []byte { tb.Helper(); return guesttest.BytesC(tb, "climits") })
	if reason == "" {
		guests[limitsC] = wasm
		for i, name := range []string{"sieve", "matmul", "mix", "fib", "insertion sort", "qsort"} {
			works = append(works, limitsWork{name: "C, " + name, guest: limitsC, function: uint32(i)})
		}
	} else {
		fmt.Println("notice: the C guest is left out:", reason)
	}
	text, err := cbor.Marshal(strings.Repeat("the quick brown fox jumps over the lazy dog ", 2000))
	require.NoError(b, err)
	works = append(works, limitsWork{name: "Go, words of a text", guest: limitsGo, function: 4, codecs: 1 | 1<<8, input: text})
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	runs := make(map[string]func() time.Duration)
	for i, v := range limitsVariants {
		for g, wasm := range guests {
			run := newLimitsRun(ctx, b, wasm, i)
			for _, w := range works {
				if w.guest == g {
					runs[v.name+w.name] = func() time.Duration { return run(w) }
				}
			}
		}
	}
	times := make(map[string]*benchtest.Series)
	for b.Loop() {
		for range *limitsRounds {
			for _, w := range works {
				for _, v := range limitsVariants {
					key := v.name + w.name
					if times[key] == nil {
						times[key] = new(benchtest.Series)
						runs[key]() // to warm up
					}
					times[key].Add(runs[key]())
				}
			}
		}
	}
	printLimits(works, times)
}

// newLimitsRun returns what measures a computation in one variant.
func newLimitsRun(ctx context.Context, b *testing.B, wasm []byte, variant int) func(limitsWork) time.Duration {
	b.Helper()
	v := limitsVariants[variant]
	wasm, err := wasmbin.Instrument(wasm, v.mode)
	require.NoError(b, err)
	raw, err := benchtest.NewRawOf(ctx, wasm, wazero.NewRuntimeConfig().WithCloseOnContextDone(v.close))
	require.NoError(b, err)
	b.Cleanup(func() { _ = raw.Close(context.Background()) })
	m, err := raw.Instantiate(ctx)
	require.NoError(b, err)
	set := func(name string, value uint64) {
		if g, ok := m.ExportedGlobal(name).(api.MutableGlobal); ok {
			g.Set(value)
		}
	}
	return func(w limitsWork) time.Duration {
		set(wasmbin.DepthName, 10_000)
		set(wasmbin.FuelName, math.MaxInt64)
		began := time.Now()
		require.NoError(b, raw.CallFunction(ctx, m, w.function, w.codecs, w.input), w.name)
		took := time.Since(began)
		require.NotEmpty(b, raw.Output())
		return took
	}
}

func printLimits(works []limitsWork, times map[string]*benchtest.Series) {
	m := benchtest.ThisMachine()
	fmt.Printf("\nWhat it costs to end calls and to count (shortest of %d)\n%s, %d cores, %s, %s; load %s\n", *limitsRounds, m.CPU, m.Cores, m.Kernel, m.Go, benchtest.Load())
	w := table()
	fmt.Fprint(w, "|")
	for _, v := range limitsVariants {
		fmt.Fprintf(w, "\t%s |", v.name)
	}
	fmt.Fprintln(w)
	for _, work := range works {
		base := times[limitsVariants[0].name+work.name].Min()
		fmt.Fprintf(w, "| %s |\t%s |", work.name, benchtest.Time(base))
		for _, v := range limitsVariants[1:] {
			fmt.Fprintf(w, "\t%.2fx |", float64(times[v.name+work.name].Min())/float64(base))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
}
