package executor_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

// noDefault leaves the process without a default start method for the test, and
// afterwards. The test cannot be parallel.
func noDefault(t *testing.T) {
	t.Helper()
	t.Setenv(startmethod.Variable, "")
	require.NoError(t, startmethod.SetDefault("", true))
	t.Cleanup(func() { require.NoError(t, startmethod.SetDefault("", true)) })
}

// usedMethod is how a call of fn got its instance.
func usedMethod(t *testing.T, ex *executor.Executor, fn raw) startmethod.Method {
	t.Helper()
	f := executor.Submit(t.Context(), ex, fn, nil)
	_, err := wait(t, f)
	require.NoError(t, err)
	return f.Usage().StartMethod
}

// TestStartMethod_precedence takes what counts away, one level after another.
func TestStartMethod_precedence(t *testing.T) {
	noDefault(t)
	builtin, err := startmethod.Default()
	require.NoError(t, err)
	const fresh, precompiled = startmethod.Fresh, startmethod.Precompiled
	for name, tc := range map[string]struct {
		function, options, process startmethod.Method
		variable                   string
		want                       startmethod.Method
	}{
		"function":                {fresh, precompiled, precompiled, "loky", fresh},
		"function, the other":     {precompiled, fresh, fresh, "spawn", precompiled},
		"options":                 {"", fresh, precompiled, "loky", fresh},
		"options, the other":      {"", precompiled, fresh, "spawn", precompiled},
		"process":                 {"", "", fresh, "loky", fresh},
		"process, the other":      {"", "", precompiled, "spawn", precompiled},
		"process, wrong variable": {"", "", fresh, "sideways", fresh},
		"options, wrong variable": {"", fresh, "", "sideways", fresh},
		"variable":                {"", "", "", "Spawn", fresh},
		"variable, the other":     {"", "", "", "loky", precompiled},
		"nothing":                 {"", "", "", "", builtin},
	} {
		t.Run(name, func(t *testing.T) {
			noDefault(t)
			t.Setenv(startmethod.Variable, tc.variable)
			require.NoError(t, startmethod.SetDefault(tc.process, false))
			fn := echoFunc(t)
			fn.StartMethod = tc.function
			ex := newExecutor(t, executor.Options{Workers: 1, StartMethod: tc.options})
			require.Equal(t, tc.want, usedMethod(t, ex, fn))
		})
	}
}

func TestStartMethod_readWhenMade(t *testing.T) {
	noDefault(t)
	t.Setenv(startmethod.Variable, "fresh")
	ex := newExecutor(t, executor.Options{Workers: 1})
	t.Setenv(startmethod.Variable, "sideways")
	require.Equal(t, startmethod.Fresh, usedMethod(t, ex, echoFunc(t)), "the executor has its default")
	require.NoError(t, startmethod.SetDefault(startmethod.Precompiled, false))
	require.Equal(t, startmethod.Fresh, usedMethod(t, ex, echoFunc(t)))
	require.Equal(t, startmethod.Precompiled, usedMethod(t, newExecutor(t, executor.Options{Workers: 1}), echoFunc(t)))
}

func TestStartMethod_wrongVariable(t *testing.T) {
	noDefault(t)
	t.Setenv(startmethod.Variable, "side\nways")
	var r executor.Reusable
	_, getErr := r.Get(t.Context(), &executor.Options{})
	_, newErr := executor.New(nil)
	for _, err := range []error{newErr, getErr} {
		var oe *executor.OptionError
		require.ErrorAs(t, err, &oe)
		require.Equal(t, startmethod.Variable, oe.Option)
		require.ErrorContains(t, err, `SANDPOOL_START_METHOD: unknown start method "side\nways" (known: fresh, precompiled`)
	}
	t.Setenv(startmethod.Variable, "loky_init_main")
	_, err := executor.New(nil)
	var oe *executor.OptionError
	require.ErrorAs(t, err, &oe)
	require.Equal(t, "Options.Initializer", oe.Option)
}

func TestStartMethod_lokyInitMain(t *testing.T) {
	noDefault(t)
	o := executor.Options{Workers: 1, Initializer: executor.Initializer{Name: "setup", Input: "ready"}}
	value := executor.Func[struct{}, struct {
		Value string
		Count int
	}]{Module: fixture(t), Name: "setupvalue"}
	for name, change := range map[string]func(o *executor.Options){
		"options":  func(o *executor.Options) { o.StartMethod = startmethod.LokyInitMain },
		"function": func(*executor.Options) {},
		"process": func(*executor.Options) {
			require.NoError(t, startmethod.SetDefault(startmethod.LokyInitMain, false))
		},
		"variable": func(*executor.Options) { t.Setenv(startmethod.Variable, "LOKY_INT_MAIN") },
	} {
		noDefault(t)
		o, fn := o, value
		change(&o)
		if name == "function" {
			fn.StartMethod = startmethod.LokyInitMain
		}
		ex := newExecutor(t, o)
		for range 2 {
			f := executor.Submit(t.Context(), ex, fn, struct{}{})
			out, err := wait(t, f)
			require.NoError(t, err, name)
			require.Equal(t, "ready", out.Value, name)
			require.Equal(t, 1, out.Count, "once in each instance")
			require.Equal(t, startmethod.Precompiled, f.Usage().StartMethod, name)
		}
		o.Initializer = executor.Initializer{}
		if name == "function" {
			f := executor.Submit(t.Context(), newExecutor(t, o), fn, struct{}{})
			refusedInitMain(t, f.Err())
			continue
		}
		_, err := executor.New(&o)
		refusedInitMain(t, err)
	}
}

func refusedInitMain(t *testing.T, err error) {
	t.Helper()
	var oe *executor.OptionError
	require.ErrorAs(t, err, &oe)
	require.EqualError(t, err, "Options.Initializer: start method loky_init_main needs an initializer")
}

// A worker that has a module without its code gets all of it where calls compile it, and the other
// way round.
func TestFresh_besidePrecompiled(t *testing.T) {
	t.Parallel()
	for _, order := range [][]startmethod.Method{
		{startmethod.Fresh, startmethod.Precompiled, startmethod.Fresh, startmethod.Snapshot},
		{startmethod.Snapshot, startmethod.Fresh, startmethod.Precompiled, startmethod.Warm, startmethod.Fresh},
	} {
		for _, wasm := range [][]byte{guesttest.TinyEcho(), guesttest.TinyUnfit()} { // whose code is rewritten, and is the same for all
			ex := newExecutor(t, executor.Options{Workers: 1})
			fn := raw{Module: newModule(t, "both", wasm), Name: "echo"}
			for _, method := range order {
				fn.StartMethod = method
				out, err := call(t, ex, fn, []byte(method))
				require.NoError(t, err)
				require.Equal(t, string(method), string(out))
			}
			require.EqualValues(t, 1, ex.Stats().WorkersStarted)
		}
	}
}
