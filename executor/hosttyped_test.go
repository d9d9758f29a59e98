package executor_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
)

// hostQuery, hostAnswer and hostEnding are the types of the guest "hosted".
type (
	hostQuery struct {
		Key   string `cbor:"key"`
		Count int    `cbor:"count"`
	}
	hostAnswer struct {
		Key    string         `cbor:"key"`
		Values map[string]int `cbor:"values"`
		Next   *hostAnswer    `cbor:"next"`
	}
	hostEnding struct {
		Text          string
		Host, Missing bool
	}
)

// hosted is a Go guest that calls functions of its host by their types.
func hosted(t *testing.T) *serialize.Module {
	t.Helper()
	m := load(t, guesttest.Build(t, "hosted"))
	return m
}

func hostOf(t *testing.T, functions ...executor.HostFunction) *executor.HostModule {
	t.Helper()
	m, err := executor.NewHostModule(functions...)
	require.NoError(t, err)
	return m
}

func lookup(_ context.Context, q hostQuery) (hostAnswer, error) {
	if q.Key == "" {
		return hostAnswer{}, errors.New("no key")
	}
	return hostAnswer{Key: strings.ToUpper(q.Key), Values: map[string]int{q.Key: q.Count}, Next: &hostAnswer{Key: "next"}}, nil
}

func TestHostFunc_types(t *testing.T) {
	t.Parallel()
	m := hostOf(t, executor.HostFunc("lookup", lookup))
	ex := newExecutor(t, executor.Options{Workers: 1, Host: m})
	fn := executor.Func[hostQuery, hostAnswer]{Module: hosted(t), Name: "lookup", Grants: executor.Grants{Host: m.Names()}}
	f := executor.Submit(t.Context(), ex, fn, hostQuery{"é", -7})
	a, err := wait(t, f)
	require.NoError(t, err)
	require.Equal(t, hostAnswer{Key: "É", Values: map[string]int{"é": -7}, Next: &hostAnswer{Key: "next"}}, a)
	require.EqualValues(t, 1, f.Usage().HostCalls)
	_, err = call(t, ex, fn, hostQuery{})
	require.ErrorIs(t, err, &executor.GuestError{Code: executor.CodeError})
	require.ErrorContains(t, err, `host function "lookup": no key`)
	fn.Grants.Host = nil
	_, err = call(t, ex, fn, hostQuery{Key: "x"})
	require.ErrorContains(t, err, "not granted")
}

// selfish is a type whose encoding does not go well.
type selfish struct{ how string }

func (s selfish) MarshalCBOR() ([]byte, error) {
	switch s.how {
	case "error":
		return nil, errors.New("will not be encoded")
	case "exit":
		runtime.Goexit()
	}
	panic("cannot be encoded")
}

// TestHostFunc_misfits: whatever goes wrong between the types is an error of the one
// call's guest.
func TestHostFunc_misfits(t *testing.T) {
	t.Parallel()
	var mistaken atomic.Int32
	m := hostOf(t,
		executor.HostFunc("confused", func(context.Context, map[string]string) (string, error) {
			mistaken.Add(1)
			return "", nil
		}),
		executor.HostFunc("broken", func(_ context.Context, how string) (any, error) {
			switch how {
			case "text":
				return "not a number", nil
			case "channel":
				return make(chan int), nil
			case "panic":
				panic("over\nthere")
			default:
				return selfish{how}, nil
			}
		}),
	)
	ex := newExecutor(t, executor.Options{Workers: 1, Host: m})
	grants := executor.Grants{Host: m.Names()}
	end, err := call(t, ex, executor.Func[int, hostEnding]{Module: hosted(t), Name: "confused", Grants: grants}, 3)
	require.NoError(t, err)
	require.True(t, end.Host)
	require.Contains(t, end.Text, "its input: ")
	require.Contains(t, end.Text, "map[string]string")
	require.Zero(t, mistaken.Load())

	broken := executor.Func[string, hostEnding]{Module: hosted(t), Name: "broken", Grants: grants}
	for how, want := range map[string]hostEnding{
		"text":    {"decode answer of host function", false, false},
		"channel": {"its output: ", true, false},
		"panic":   {`panicked: over\nthere`, true, false},
		"error":   {"will not be encoded", true, false},
		"exit":    {"has not returned", true, false},
		"other":   {"cannot be encoded", true, false},
	} {
		end, err := call(t, ex, broken, how)
		require.NoError(t, err, how)
		require.Contains(t, end.Text, want.Text)
		end.Text = want.Text
		require.Equal(t, want, end, how)
	}
	broken.Grants.Host = nil
	end, err = call(t, ex, broken, "text")
	require.NoError(t, err)
	require.True(t, end.Host && end.Missing)
	require.EqualValues(t, 1, ex.Stats().WorkersStarted, "none of this costs a worker")
}

// TestHostFunc_hostileInput gives a typed host function what no codec would write.
func TestHostFunc_hostileInput(t *testing.T) {
	t.Parallel()
	m := hostOf(t, executor.HostFunc("host", func(_ context.Context, in map[string][]any) (int, error) { return len(in), nil }))
	ex := newExecutor(t, executor.Options{Workers: 1, Host: m, Limits: executor.Limits{Output: 1 << 20}})
	for name, in := range map[string]string{
		"nothing":       "",
		"cut short":     "\xa1",
		"long array":    "\xa1\x61x\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
		"long string":   "\xa1\x7b\x7f\xff\xff\xff\xff\xff\xff\xff",
		"deep":          "\xa1\x61x" + strings.Repeat("\x81", 1<<19) + "\x00",
		"indefinite":    "\xbf\xff",
		"twice":         "\xa2\x61x\x80\x61x\x80",
		"two items":     "\xa0\xa0",
		"not text":      "\xa1\x61\xff\x80",
		"another type":  "\x01",
		"break":         "\xff",
		"reserved head": "\x1c",
	} {
		_, err := call(t, ex, viaHost(t), []byte(in))
		require.ErrorIs(t, err, &executor.GuestError{Code: executor.CodeError}, name)
		require.ErrorContains(t, err, "its input: ", name)
	}
	_, err := call(t, ex, viaHost(t), []byte("\xa0"))
	require.NoError(t, err)
	require.EqualValues(t, 1, ex.Stats().WorkersStarted)
}

func TestHostFunction_signature(t *testing.T) {
	t.Parallel()
	raw := func(context.Context, []byte) ([]byte, error) { return nil, nil }
	m := hostOf(t,
		executor.HostFunc("raw", raw),
		executor.HostFunc("kv_get", func(context.Context, string) (*[]byte, error) { return nil, nil }),
		executor.HostFunc("lookup", lookup),
	)
	require.Equal(t, []string{
		"kv_get(string) -> bytes?",
		"lookup({key: string, count: int}) -> {key: string, values: map[string]int, next: executor_test.hostAnswer?}",
		"raw(bytes) -> bytes",
	}, m.Signatures())
	require.Empty(t, (*executor.HostModule)(nil).Signatures())
	f := executor.HostFunc("raw", raw)
	require.Equal(t, "raw", f.Name())
	require.Equal(t, "raw(bytes) -> bytes", f.Signature())
}

func TestDescribe_host(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	d, err := executor.Describe(t.Context(), ex, hosted(t))
	require.NoError(t, err)
	require.Equal(t, []executor.Function{
		{"lookup", "{key: string, count: int}", "{key: string, values: map[string]int, next: main.Answer?}"},
		{"confused", "int", "string"},
		{"broken", "string", "int"},
		{"tick", "{}", "int"},
		{"kv_get", "string", "bytes?"},
		{"kv_put", "{key: string, value: bytes}", "{}"},
		{"kv_delete", "string", "{}"},
		{"http_fetch", "{method: string, url: string, header: map[string][]string, body: bytes}", "{status: int, url: string, header: map[string][]string, body: bytes}"},
	}, d.Host)
	d, err = executor.Describe(t.Context(), ex, fixture(t))
	require.NoError(t, err)
	require.Empty(t, d.Host)
}

// TestLimits_hostCalls: the limit ends one call, what comes up to it goes well.
func TestLimits_hostCalls(t *testing.T) {
	t.Parallel()
	var ticks atomic.Int64
	m := hostOf(t,
		executor.HostFunc("tick", func(context.Context, struct{}) (int64, error) { return ticks.Add(1), nil }),
		executor.HostFunc("host", func(_ context.Context, in []byte) ([]byte, error) { return in, nil }),
	)
	ex := newExecutor(t, executor.Options{Workers: 1, Host: m, Limits: executor.Limits{HostCalls: 50}})
	tick := executor.Func[int, int]{Module: hosted(t), Name: "ticks", Grants: executor.Grants{Host: m.Names()}}
	for range 2 {
		f := executor.Submit(t.Context(), ex, tick, 50)
		_, err := wait(t, f)
		require.NoError(t, err)
		require.EqualValues(t, 50, f.Usage().HostCalls)
	}
	tick.Limits.HostCalls = 10
	loop := raw{Module: tiny(t, "loop", guesttest.TinyHostLoop("host")), Name: "hostloop", Grants: tick.Grants}
	before := ticks.Load()
	f := executor.Submit(t.Context(), ex, tick, 11)
	_, err := wait(t, f)
	var le *executor.LimitError
	require.ErrorAs(t, err, &le)
	require.Equal(t, executor.LimitError{Limit: executor.LimitHostCalls, Max: 10, Used: 11}, *le)
	require.EqualError(t, le, "limit hostcalls exceeded: 11 of 10")
	require.EqualValues(t, 10, f.Usage().HostCalls)
	require.EqualValues(t, 10, ticks.Load()-before, "the one beyond was not made")
	g := executor.Submit(t.Context(), ex, loop, nil)
	_, err = wait(t, g)
	require.ErrorIs(t, err, &executor.LimitError{Limit: executor.LimitHostCalls})
	require.EqualValues(t, 50, g.Usage().HostCalls)
	require.EqualValues(t, 1, ex.Stats().WorkersStarted, "none of this costs a worker")

	tick.Limits.HostCalls = 51
	_, err = call(t, ex, tick, 1)
	var oe *executor.OptionError
	require.ErrorAs(t, err, &oe)
	require.Equal(t, "Func.Limits.HostCalls", oe.Option)
	_, err = call(t, ex, executor.Func[int, int]{Module: hosted(t), Name: "ticks", Limits: executor.Limits{HostCalls: -1}}, 1)
	require.ErrorAs(t, err, &oe, "no limit is more than the executor's")
}

// TestLimits_hostCallsOff makes more calls than an idle limit, and logs beside.
func TestLimits_hostCallsOff(t *testing.T) {
	t.Parallel()
	m := host(t, func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	ex := newExecutor(t, executor.Options{Workers: 1, Host: m, Limits: executor.Limits{HostCalls: -1, Log: 4 << 10}})
	type hostCall struct {
		Name  string
		Input []byte
		Times int
	}
	fn := executor.Func[hostCall, []byte]{Module: fixture(t), Name: "hostcall", Grants: executor.Grants{Host: []string{"host"}}}
	f := executor.Submit(t.Context(), ex, fn, hostCall{"host", nil, 5000})
	_, err := wait(t, f)
	require.NoError(t, err)
	require.EqualValues(t, 5000, f.Usage().HostCalls)
	g := executor.Submit(t.Context(), ex, executor.Func[string, struct{}]{Module: fixture(t), Name: "print"}, "lines are no host calls")
	_, err = wait(t, g)
	require.NoError(t, err)
	require.Zero(t, g.Usage().HostCalls)
}

// TestHostileWorker_hostCalls has a worker go on beyond the limit that it was given.
func TestHostileWorker_hostCalls(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the hostile workers are shell scripts")
	}
	var calls atomic.Int64
	ex := newExecutor(t, executor.Options{
		Workers: 1, WorkerPath: script(t, "hostflood"), StartMethod: "fresh", Limits: executor.Limits{HostCalls: 5},
		Host: host(t, func(_ context.Context, in []byte) ([]byte, error) {
			calls.Add(1)
			return in, nil
		}),
	})
	fn := echoFunc(t)
	fn.Grants.Host = []string{"host"}
	f := executor.Submit(t.Context(), ex, fn, nil)
	_, err := wait(t, f)
	var we *executor.WorkerError
	require.ErrorAs(t, err, &we)
	require.ErrorIs(t, err, &executor.LimitError{Limit: executor.LimitHostCalls})
	require.EqualValues(t, 5, calls.Load())
	require.EqualValues(t, 5, f.Usage().HostCalls)
	processGone(t, f.Usage().PID)
}

func TestCallerTenant(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, Host: host(t, func(ctx context.Context, _ []byte) ([]byte, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		tenant, ok := executor.CallerTenant(ctx)
		if !ok {
			return nil, errors.New("no tenant")
		}
		return []byte("for " + tenant), nil
	})})
	for _, tenant := range []string{"alice", "", "bob"} {
		out, err := call(t, ex, as(viaHost(t), tenant), nil)
		require.NoError(t, err)
		require.Equal(t, "for "+tenant, string(out))
	}
	_, ok := executor.CallerTenant(t.Context())
	require.False(t, ok)
}

// FuzzHostFunc gives typed host functions any input: it is an error or a value, never a
// panic.
func FuzzHostFunc(f *testing.F) {
	for _, seed := range []string{"", "\xa0", "\xa2\x63keya\x65count\x01", "\xa3\x63key\x61x\x66values\xa1\x61x\x01\x64next\xf6", "\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", "\xc1\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00"} {
		f.Add([]byte(seed))
	}
	functions := []executor.HostFunction{
		executor.HostFunc("query", func(_ context.Context, q hostQuery) (hostQuery, error) { return q, nil }),
		executor.HostFunc("answer", func(_ context.Context, a hostAnswer) (hostAnswer, error) { return a, nil }),
		executor.HostFunc("any", func(_ context.Context, a any) (any, error) { return a, nil }),
		executor.HostFunc("map", func(_ context.Context, m map[any][]*[]byte) (map[any][]*[]byte, error) { return m, nil }),
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, fn := range functions {
			out, err := fn.CallRaw(t.Context(), in)
			if err != nil {
				continue
			}
			if again, err := fn.CallRaw(t.Context(), out); err == nil && fn.Name() == "query" && string(again) != string(out) {
				t.Fatalf("%x becomes %x and then %x", in, out, again)
			}
		}
	})
}
