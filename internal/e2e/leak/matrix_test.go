package leak_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

// states are the guests of the matrix.
var states = map[string]func(testing.TB) *guesttest.State{
	"tiny": func(testing.TB) *guesttest.State { return guesttest.StateTiny() },
	"c":    guesttest.StateC,
	"go":   guesttest.StateGo,
}

// rounds is how many calls a cell of the matrix makes.
func rounds(method startmethod.Method) int {
	switch method {
	case startmethod.Fresh:
		return share(20)
	case startmethod.Precompiled:
		return share(500)
	default:
		return share(10_000)
	}
}

// TestMatrix has guests mark everything they can, end in every way, and look, in
// one worker process for each cell.
func TestMatrix(t *testing.T) {
	t.Parallel()
	var r report
	t.Cleanup(func() { t.Log(r.table()) })
	for _, method := range startmethod.Methods() {
		for name, state := range states {
			t.Run(string(method)+"/"+name, func(t *testing.T) {
				t.Parallel()
				if testing.Short() {
					slow(t, method, name)
				}
				c := newCell(t, method, state(t), executor.Options{})
				c.run(t, rounds(method))
				require.Equal(t, method, c.used)
				require.LessOrEqual(t, len(c.pids), 1+c.costly, "one process, but where a call costs it")
				c.logsApart(t)
				r.add(c)
			})
		}
	}
}

// TestFunctions marks by one function and looks by another, which are different
// slots of the worker.
func TestFunctions(t *testing.T) {
	t.Parallel()
	for _, method := range startmethod.Methods() {
		for name, state := range states {
			t.Run(string(method)+"/"+name, func(t *testing.T) {
				t.Parallel()
				slow(t, method, name)
				c := newCell(t, method, state(t), executor.Options{})
				mark, look := c.do, c.do
				mark.Name, look.Name = "mark", "look"
				for range min(rounds(method), 50) / 5 {
					_, err := executor.Submit(t.Context(), c.ex, mark, []byte("00000001")).Wait(t.Context())
					require.NoError(t, err)
					out, err := executor.Submit(t.Context(), c.ex, look, nil).Wait(t.Context())
					require.NoError(t, err)
					if method != warm { // which may or may not keep them apart
						require.Equal(t, c.clean, string(out))
					}
				}
			})
		}
	}
}

// TestInitializer has an initializer mark, so that every instance begins with
// that mark and no other.
func TestInitializer(t *testing.T) {
	t.Parallel()
	const number = 99_999_999
	for _, method := range startmethod.Methods() {
		for name, state := range states {
			t.Run(string(method)+"/"+name, func(t *testing.T) {
				t.Parallel()
				slow(t, method, name)
				setup := executor.Initializer{Name: "setup", Input: fmt.Appendf(nil, "%08d", number)}
				c := newCell(t, method, state(t), executor.Options{Initializer: setup})
				c.base = kept{calls: 1, marks: 1, last: number}
				c.firstLine = name == "go" // what it left running goes on
				require.Contains(t, c.clean, guesttest.StateLine(2, 1, number))
				c.run(t, max(rounds(method)/20, 5))
			})
		}
	}
}

// TestTable is the matrix for a guest that changes its table, which no snapshot
// can put back.
func TestTable(t *testing.T) {
	t.Parallel()
	for _, method := range startmethod.Methods() {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			state := guesttest.StateTiny()
			state.Wasm = guesttest.TinyStateTable()
			c := newCell(t, method, state, executor.Options{})
			require.Contains(t, c.clean, "\ntable=00000001,00000002\n")
			c.run(t, max(rounds(method)/20, 5))
			switch method {
			case snapshot:
				require.Equal(t, startmethod.Precompiled, c.used)
				require.Contains(t, c.fallback, "changes a table")
			case warm: // may keep an instance that it need not put back
				require.Contains(t, []startmethod.Method{startmethod.Precompiled, warm}, c.used)
			default:
				require.Equal(t, method, c.used)
			}
		})
	}
}
