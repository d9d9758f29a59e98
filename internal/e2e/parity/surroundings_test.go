package parity_test

import (
	"cmp"
	"errors"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// stdinFunc reads from its standard input and returns WASI's error number and how
// much it has read, each as 4 bytes.
func stdinFunc(t *testing.T) raw {
	t.Helper()
	const (
		vector = 0  // one buffer's address and length
		status = 8  // where the error number goes
		size   = 12 // and the size
		buffer = 64
	)
	g := guesttest.NewTiny()
	i32 := guesttest.I32
	read := g.Import("wasi_snapshot_preview1", "fd_read", guesttest.Sig([]guesttest.ValueType{i32, i32, i32, i32}, i32))
	body := new(guesttest.Code).
		I32(vector).I32(buffer).Store(0).I32(vector).I32(1024).Store(4).
		I32(status).I32(0).I32(vector).I32(1).I32(size).Call(read).Store(0).
		I32(status).I32(8).Call(g.Write).I32(0)
	return tinyFunc(t, "stdin", g.Finish("stdin", onePage, nil, body))
}

func TestG13_stdin(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex := newExecutor(t, executor.Options{StartMethod: method})
		out, err := call(t, ex, stdinFunc(t), nil)
		require.NoError(t, err)
		require.Equal(t, make([]byte, 8), out, "no error, and nothing to read")
	})
}

// panicking is a worker that panics at SIGTERM.
var panicking = newTrait("panicking", func() {
	signals := make(chan os.Signal, 1) // as signal.Notify wants it
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		panic("no more luck")
	}()
})

// TestG14_lastWords looks for what a worker says when it crashes, and has the
// environment change how it does.
func TestG14_lastWords(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	for name, tc := range map[string]struct {
		options executor.Options
		crash   func(pid int) error
		ends    []string // signal or exit code
		text    string
	}{
		// To look at the guest's stack may be another segmentation fault.
		"by default":    {executor.Options{}, segfault, []string{"2", "SIGSEGV"}, "SIGSEGV: segmentation violation"},
		"with an abort": {executor.Options{Env: []string{"GOTRACEBACK=crash"}}, segfault, []string{"SIGABRT", "SIGSEGV"}, "SIGSEGV: segmentation violation"},
		"a panic":       {withTrait(t, executor.Options{}, panicking), terminate, []string{"2"}, "panic: no more luck"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.options.Workers = 1
			ex, h := newHolder(t, tc.options)
			f := executor.Submit(t.Context(), ex, h.fn, nil)
			h.begun(t)
			require.NoError(t, tc.crash(running(t, f)))
			_, err := wait(t, f)
			we, ok := errors.AsType[*executor.WorkerError](err)
			require.True(t, ok, "%v", err)
			require.Contains(t, tc.ends, cmp.Or(we.Signal, strconv.Itoa(we.ExitCode)))
			require.Contains(t, we.Stderr, tc.text)
			if we.Signal != "SIGSEGV" {
				require.Contains(t, we.Stderr, "goroutine ", "and where it was")
			}
			require.LessOrEqual(t, len(we.Stderr), 5<<10, "its first words and its last")
			require.ErrorContains(t, err, tc.text)
			require.NotContains(t, err.Error(), "\n")
			echoes(t, ex)
		})
	}
}

func TestG15_allWorkersAtOnce(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 4, 2*runtime.NumCPU() + 2} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			m := newMeeting(t)
			ex := get(t, newReusable(t), executor.Options{Workers: n, Host: m.host})
			first := m.of(t, ex, n)
			require.Equal(t, first, m.of(t, ex, n), "the same workers again")
			require.EqualValues(t, n, ex.Stats().WorkersStarted)
		})
	}
}

// setupGuest has an initializer, setup, that keeps its input, and a function,
// value, that returns how often setup ran, in 4 bytes, and what it has kept.
func setupGuest(t *testing.T) *serialize.Module {
	t.Helper()
	const (
		length = 0 // of what is kept
		count  = 4
		kept   = 8
		about  = 2 << 10
	)
	g := guesttest.NewTiny()
	i32 := guesttest.I32
	text := `{"sdk":"test","functions":[{"name":"setup","in":"bytes","out":"bytes"},{"name":"value","in":"bytes","out":"bytes"}]}`
	describe := g.Func(guesttest.Sig(nil, i32), nil, new(guesttest.Code).I32(about).I32(int32(len(text))).Call(g.Write).I32(0))
	call := g.Func(guesttest.Sig([]guesttest.ValueType{i32, i32, i32}, i32), nil, new(guesttest.Code).
		Get(0).Eqz().If().
		I32(length).I32(kept).I32(0).I32(1<<10).Call(g.Read).Store(0).
		I32(count).I32(count).Load(0).I32(1).Add().Store(0).
		Else().
		I32(count).I32(length).Load(0).I32(4).Add().Call(g.Write).
		End().I32(0))
	g.Memory(1, 1)
	g.Data(about, []byte(text))
	g.Export("sandpool_v1_describe", describe)
	g.Export("sandpool_v1_call", call)
	return tiny(t, "setup", g.Bytes())
}

func TestG16_initializer(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		value := raw{Module: setupGuest(t), Name: "value"}
		r := newReusable(t)
		with := func(input string) executor.Options {
			return executor.Options{StartMethod: method, Initializer: executor.Initializer{Name: "setup", Input: []byte(input)}}
		}
		finds := func(ex *executor.Executor, want string) {
			t.Helper()
			for range 5 {
				got, err := call(t, ex, value, nil)
				require.NoError(t, err)
				require.Equal(t, want, string(got))
			}
		}
		finds(get(t, r, with("one")), "\x01\x00\x00\x00one")
		require.EqualValues(t, 1, get(t, r, with("one")).Stats().ID, "the same initializer")
		ex := get(t, r, with("two"))
		require.EqualValues(t, 2, ex.Stats().ID, "another one")
		finds(ex, "\x01\x00\x00\x00two")
		same, err := r.Get(t.Context(), nil)
		require.NoError(t, err)
		finds(same, "\x01\x00\x00\x00two")
		finds(get(t, r, executor.Options{StartMethod: method}), "\x00\x00\x00\x00")
	})
}

// TestG18_manyWorkers asks for a number of workers that loky has to clamp on
// Windows, and for one less.
func TestG18_manyWorkers(t *testing.T) {
	t.Parallel()
	workers := 62
	if testing.Short() {
		workers = 20
	}
	m, w, r := newMeeting(t), newWarnings(), newReusable(t)
	o := executor.Options{Workers: workers, Host: m.host, Logger: w.log}
	ex := get(t, r, o)
	all := m.of(t, ex, workers)
	o.Workers--
	ex = get(t, r, o)
	eventually(t, func() bool { return ex.Stats().Workers == workers-1 }, "one is sent home")
	require.Subset(t, all, m.of(t, ex, workers-1), "the others stay")
	s := ex.Stats()
	require.EqualValues(t, 1, s.ID)
	require.Equal(t, workers-1, s.Limit)
	require.EqualValues(t, workers, s.WorkersStarted)
	require.Empty(t, w.all())
}
