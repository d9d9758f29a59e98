package executor_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// TestG6_equalBytes makes a Module of the same bytes for each call: they are one
// module, whose bytes travel to a worker once, and whose results are shared.
func TestG6_equalBytes(t *testing.T) {
	t.Parallel()
	for _, method := range startmethod.Methods() {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			ex := newExecutor(t, executor.Options{Workers: 2, StartMethod: method})
			cold := make(map[int]int)
			for i := range 60 {
				m, err := serialize.NewModule(fmt.Sprint("echo ", i), guesttest.TinyEcho())
				require.NoError(t, err)
				first := executor.Submit(t.Context(), ex, raw{Module: m, Name: "echo"}, []byte("a"))
				second := executor.Submit(t.Context(), ex, raw{Module: m, Name: "echo", Limits: executor.Limits{Output: int64(1000 + i)}}, []byte("b"))
				for _, f := range []*executor.Future[[]byte]{first, second} {
					_, err := wait(t, f)
					require.NoError(t, err)
					if f.Usage().Cold {
						cold[f.Usage().PID]++
					}
				}
			}
			require.NotEmpty(t, cold)
			for pid, n := range cold {
				require.Equal(t, 1, n, "worker %d was given the module more than once", pid)
			}
			host, worker := executor.ModulesHeld(ex)
			require.Equal(t, 1, host)
			require.Equal(t, 1, worker)
		})
	}
	ex, fn, runs := newCounted(t, executor.Options{Workers: 1})
	for range 3 {
		m, err := serialize.NewModule("again", fn.Module.Bytes())
		require.NoError(t, err)
		fn.Module = m
		_, err = call(t, ex, fn, []byte("a"))
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, runs.Load())
}

// TestG6_configurations has closures of one factory: the same module, and what sets
// one function apart from the other is all that differs. Neither results nor images nor
// compiled code may be those of the other.
func TestG6_configurations(t *testing.T) {
	t.Parallel()
	m := fixture(t)
	for _, method := range []startmethod.Method{startmethod.Snapshot, startmethod.Precompiled, startmethod.Warm} {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			// The initializer's input, in executors that share a directory.
			value := executor.Func[struct{}, struct{ Value string }]{Module: m, Name: "setupvalue", Pure: true}
			closures := make(map[string]*executor.Executor)
			for _, input := range []string{"one", "two"} {
				closures[input] = newExecutor(t, executor.Options{
					Workers: 1, StartMethod: method, Initializer: executor.Initializer{Name: "setup", Input: input},
				})
			}
			for range 3 {
				for input, ex := range closures {
					out, err := call(t, ex, value, struct{}{})
					require.NoError(t, err)
					require.Equal(t, input, out.Value)
				}
			}
			configureCalls(t, closures["one"])
		})
	}
}

// A drawFunc is the guest's function that draws random numbers.
type drawFunc = executor.Func[struct{}, struct{ Crypto, Math []byte }]

// configureCalls tells functions apart that differ in what a Func says of them.
func configureCalls(t *testing.T, ex *executor.Executor) {
	t.Helper()
	base := drawFunc{Module: fixture(t), Name: "random", Pure: true, Grants: executor.Grants{Seed: 1}}
	one, err := call(t, ex, base, struct{}{})
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		change func(fn *drawFunc)
		cached bool
	}{
		"nothing": {func(*drawFunc) {}, true},
		"module, loaded again": {func(fn *drawFunc) {
			fn.Module, err = serialize.NewModule("again", fn.Module.Bytes())
			require.NoError(t, err)
		}, true},
		"seed":    {func(fn *drawFunc) { fn.Grants.Seed = 2 }, false},
		"no seed": {func(fn *drawFunc) { fn.Grants.Seed = 0 }, false},
		"memory":  {func(fn *drawFunc) { fn.Limits.Memory = 200 << 20 }, false},
		"tenant":  {func(fn *drawFunc) { fn.Tenant = "other" }, false},
	} {
		fn := base
		tc.change(&fn)
		for again := range 2 {
			f := executor.Submit(t.Context(), ex, fn, struct{}{})
			out, err := wait(t, f)
			require.NoError(t, err, name)
			require.Equal(t, tc.cached || again == 1, f.Usage().Cached, name)
			if fn.Grants.Seed != 1 {
				require.NotEqual(t, one, out, name)
			}
		}
	}
}
