package leak_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

// machineryCalls is how many calls of machinery there are.
func machineryCalls(method startmethod.Method) int {
	switch method {
	case startmethod.Fresh: // each compiles
		return 20
	case snapshot:
		return 10_000
	default:
		return 300
	}
}

// TestMachinery has a Go guest use what its runtime has started in init:
// goroutines, timers, the collector.
func TestMachinery(t *testing.T) {
	t.Parallel()
	for _, method := range startmethod.Methods() {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			slow(t, method, "go")
			n := share(machineryCalls(method))
			o := executor.Options{StartMethod: method}
			ex := newExecutor(t, o)
			machinery := raw{Module: module(t, guesttest.Bytes(t, "state")), Name: "machinery"}
			inWindows(n, func(i int) *future {
				input := "quick"
				if i%10 == 0 {
					input = "slow"
				}
				return executor.Submit(t.Context(), ex, machinery, []byte(input))
			}, func(i int, f *future) {
				out, err := f.Wait(t.Context())
				require.NoError(t, err, "call %d", i)
				count := 1
				if method == warm {
					count = i + 1
				}
				require.Equal(t, fmt.Sprintf("ok %d", count), string(out), "call %d", i)
				require.Equal(t, method, f.Usage().StartMethod)
			})
		})
	}
}

// TestDraw looks for random choices that are the same in two calls.
func TestDraw(t *testing.T) {
	t.Parallel()
	for _, method := range startmethod.Methods() {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			slow(t, method, "go")
			n := 200
			if method == startmethod.Fresh {
				n = share(10)
			}
			ex := newExecutor(t, executor.Options{StartMethod: method})
			draw := raw{Module: module(t, guesttest.Bytes(t, "state")), Name: "draw"}
			drawn := make(map[string]map[string]bool) // by source
			numbers := make(map[string]bool)          // of the sources of numbers, each
			inWindows(n, func(int) *future {
				return executor.Submit(t.Context(), ex, draw, nil)
			}, func(_ int, f *future) {
				out, err := f.Wait(t.Context())
				require.NoError(t, err)
				for line := range strings.Lines(string(out)) {
					source, choice, ok := strings.Cut(strings.TrimSpace(line), ": ")
					require.True(t, ok, line)
					if drawn[source] == nil {
						drawn[source] = make(map[string]bool)
					}
					drawn[source][choice] = true
					if strings.HasPrefix(source, "math/rand") {
						for number := range strings.FieldsSeq(choice) {
							require.False(t, numbers[number], "%s drew %s twice", source, number)
							numbers[number] = true
						}
					}
				}
			})
			require.Len(t, numbers, n*(8+4))
			for _, source := range []string{"maphash", "crypto/rand"} {
				require.Len(t, drawn[source], n, source)
			}
			for _, source := range []string{"map of init", "map of call"} {
				// There are few orders, since only the start of an iteration is random.
				require.GreaterOrEqual(t, len(drawn[source]), min(n/4, 10), source)
			}
		})
	}
}

// TestHeavy calls a guest with much in its memory from init.
func TestHeavy(t *testing.T) {
	t.Parallel()
	for _, method := range startmethod.Methods() {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			ex := newExecutor(t, executor.Options{StartMethod: method})
			heavy := module(t, guesttest.Bytes(t, "heavy"))
			echo := raw{Module: heavy, Name: "echo"}
			match := executor.Func[string, []int]{Module: heavy, Name: "match"}
			rounds := 2
			if method == startmethod.Fresh && !*full { // which compiles at every call, and keeps nothing for the next
				rounds = 1
			}
			for range rounds {
				out, err := executor.Submit(t.Context(), ex, echo, []byte("echoed")).Wait(t.Context())
				require.NoError(t, err)
				require.Equal(t, "echoed", string(out))
				found, err := executor.Submit(t.Context(), ex, match, `  User-39: "name"`).Wait(t.Context())
				require.NoError(t, err)
				require.Equal(t, []int{39, heavyByte(2)}, found)
			}
		})
	}
}

// heavyByte is a byte of the guest's table.
func heavyByte(at int) int {
	x := uint32(1)
	for range at + 1 {
		x = x*1664525 + 1013904223
	}
	return int(x >> 24)
}
