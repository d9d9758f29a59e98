package executor_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// The guest world's types.
type (
	worldFound struct {
		Args, Env []string
		Stdin     string
		Nanos     int64
	}
	worldLook struct{ Init, Now worldFound }
	worldNap  struct {
		Before, After int64
		Took          time.Duration
	}
	lookFunc = executor.Func[struct{}, worldLook]
)

// worldModule is the Go guest that tells what it finds.
func worldModule(t *testing.T) *serialize.Module {
	t.Helper()
	m := load(t, guesttest.Build(t, "world"))
	return m
}

// everyMethod runs a test under each start method but Fresh, which gives a Go guest seconds
// to wait and what Precompiled gives otherwise.
func everyMethod(t *testing.T, test func(t *testing.T, method startmethod.Method)) {
	t.Helper()
	for _, method := range []startmethod.Method{startmethod.Precompiled, startmethod.Snapshot, startmethod.Warm} {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			test(t, method)
		})
	}
}

// What is granted is there in the call and at initialisation, but for standard input,
// and nothing is there that is not granted.
func TestGrants_world(t *testing.T) {
	t.Parallel()
	fixed := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	everyMethod(t, func(t *testing.T, method startmethod.Method) {
		t.Helper()
		ex := newExecutor(t, executor.Options{Workers: 1, StartMethod: method})
		fn := lookFunc{Module: worldModule(t), Name: "look"}
		bare, err := call(t, ex, fn, struct{}{})
		require.NoError(t, err)
		require.Empty(t, bare.Now.Args)
		require.Empty(t, bare.Now.Env)
		require.Empty(t, bare.Now.Stdin)
		require.InDelta(t, time.Now().UnixNano(), bare.Now.Nanos, float64(time.Hour))

		fn.Grants = executor.Grants{
			Args: []string{"guest", "", "ünï code"}, Env: []string{"B=2", "A=1", "B=", "A=x=y"},
			Stdin: []byte("line\n\x00end"), Clock: executor.Clock{Fixed: fixed},
		}
		for range 3 {
			f := executor.Submit(t.Context(), ex, fn, struct{}{})
			got, err := wait(t, f)
			require.NoError(t, err)
			require.Equal(t, method, f.Usage().StartMethod, f.Usage().Fallback)
			want := worldFound{Args: []string{"guest", "", "ünï code"}, Env: []string{"A=x=y", "B="}, Nanos: fixed.UnixNano()}
			require.Equal(t, want, got.Init)
			want.Stdin = "line\n\x00end"
			require.Equal(t, want, got.Now)
		}
		// Others have theirs, whatever order they come in.
		for i := range 4 {
			fn.Grants = executor.Grants{Args: []string{strconv.Itoa(i % 2)}, Stdin: []byte(strings.Repeat("x", i*100_000))}
			got, err := call(t, ex, fn, struct{}{})
			require.NoError(t, err)
			require.Equal(t, fn.Grants.Args, got.Init.Args)
			require.Equal(t, fn.Grants.Args, got.Now.Args)
			require.Equal(t, string(fn.Grants.Stdin), got.Now.Stdin)
			require.Empty(t, got.Now.Env)
		}
	})
}

// Calls with other grants never share an image, and those with the same ones do.
func TestGrants_images(t *testing.T) {
	t.Parallel()
	ex, fn := snapshots(t, executor.Options{Workers: 1}), states(t, guesttest.CountGuest{})("count")
	now := time.Now()
	for i, g := range []executor.Grants{
		{},
		{Args: []string{""}},
		{Args: []string{"", ""}},
		{Args: []string{"A=1"}},
		{Env: []string{"A=1"}},
		{Clock: executor.Clock{Fixed: now}},
		{Clock: executor.Clock{Fixed: now.Add(1)}},
		{Clock: executor.Clock{Fixed: time.Unix(0, 0)}},
		{Clock: executor.Clock{Resolution: time.Second}},
		{Clock: executor.Clock{Fixed: now, Resolution: time.Second}},
		{Seed: 1},
	} {
		fn.Grants = g
		clean(t, ex, fn)
		captured(t, ex, i+1)
		fn.Grants.Stdin = []byte("of one call")
		clean(t, ex, fn)
		fn.Grants.Env = append(append([]string(nil), g.Env...), g.Env...)
		fn.Grants.Clock.Fixed = fn.Grants.Clock.Fixed.In(time.FixedZone("", 3600))
		clean(t, ex, fn)
		captured(t, ex, i+1)
	}
}

// Nor do they share a warm instance.
func TestGrants_warm(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, StartMethod: startmethod.Warm})
	fn := states(t, guesttest.CountGuest{})("count")
	for i := range 3 {
		for _, g := range []executor.Grants{
			{},
			{Args: []string{"a"}},
			{Env: []string{"A=1"}},
			{Clock: executor.Clock{Fixed: time.Unix(1, 0)}},
			{Clock: executor.Clock{Resolution: 2}},
		} {
			fn.Grants = g
			fn.Grants.Stdin = []byte{byte(i)}
			s, _ := show(t, ex, fn)
			require.EqualValues(t, i+1, s.Memory)
		}
	}
}

// Nor a result.
func TestGrants_pure(t *testing.T) {
	t.Parallel()
	ex, fn, runs := newCounted(t, executor.Options{Workers: 1})
	host := fn.Grants.Host
	n := int32(0)
	for _, g := range []executor.Grants{
		{},
		{Args: []string{"a"}},
		{Args: []string{"a", ""}},
		{Env: []string{"a="}},
		{Stdin: []byte("a")},
		{Stdin: []byte("aa")},
		{Clock: executor.Clock{Fixed: time.Unix(1, 0)}},
		{Clock: executor.Clock{Fixed: time.Unix(2, 0)}},
		{Clock: executor.Clock{Resolution: 2}},
	} {
		fn.Grants = g
		fn.Grants.Host = host
		n++
		for range 2 {
			_, err := call(t, ex, fn, []byte("a"))
			require.NoError(t, err)
			require.Equal(t, n, runs.Load(), "%+v", g)
		}
	}
	// Standard input and input are not taken for each other.
	prefixed := fn
	prefixed.Grants = executor.Grants{Host: host}
	_, err := call(t, ex, prefixed, []byte("\x01\x00\x00\x00aa"))
	require.NoError(t, err)
	require.Equal(t, n+1, runs.Load())
}

// A guest that sleeps under a fixed clock finds that the time has passed, and is not
// made to wait. Its next call begins where its instance did.
func TestGrants_fixedClock(t *testing.T) {
	t.Parallel()
	everyMethod(t, func(t *testing.T, method startmethod.Method) {
		t.Helper()
		ex := newExecutor(t, executor.Options{Workers: 1, StartMethod: method})
		fn := executor.Func[time.Duration, worldNap]{Module: worldModule(t), Name: "nap"}
		start := time.Unix(1_000_000_000, 1)
		fn.Grants.Clock.Fixed = start
		for i := range int64(3) {
			got, err := call(t, ex, fn, 10*time.Hour)
			require.NoError(t, err, "it would have taken longer than it may")
			require.Equal(t, 10*time.Hour, got.Took)
			if method == startmethod.Warm {
				got.Before -= i * int64(10*time.Hour)
				got.After -= i * int64(10*time.Hour)
			}
			require.Equal(t, worldNap{start.UnixNano(), start.Add(10 * time.Hour).UnixNano(), 10 * time.Hour}, got)
		}
	})
}

func TestGrants_coarseClock(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	fn := executor.Func[time.Duration, worldNap]{Module: worldModule(t), Name: "nap"}
	fn.Grants.Clock.Resolution = 50 * time.Millisecond
	for range 5 {
		got, err := call(t, ex, fn, time.Millisecond)
		require.NoError(t, err)
		require.Zero(t, got.Before%int64(50*time.Millisecond))
		require.Zero(t, got.After%int64(50*time.Millisecond))
		require.Zero(t, got.Took%(50*time.Millisecond))
		require.GreaterOrEqual(t, got.Took, time.Duration(0))
	}
	fn.Grants.Clock = executor.Clock{Fixed: time.Unix(10, 123_456_789), Resolution: time.Second}
	got, err := call(t, ex, fn, time.Second)
	require.NoError(t, err)
	require.Equal(t, worldNap{10e9, 11e9, time.Second}, got)
}

func TestGrants_refused(t *testing.T) {
	t.Parallel()
	ex, fn := newExecutor(t, executor.Options{Workers: 1}), echoFunc(t)
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprintf("A%d=", i)
	}
	for name, tc := range map[string]struct {
		grants executor.Grants
		option string
		reason string
	}{
		"many args":       {executor.Grants{Args: many}, "Func.Grants.Args", "1001 entries are more than 1000"},
		"long args":       {executor.Grants{Args: []string{strings.Repeat("x", 65536)}}, "Func.Grants.Args", "65536 bytes"},
		"NUL in args":     {executor.Grants{Args: []string{"a", "b\x00"}}, "Func.Grants.Args", "entry 1 contains a NUL byte"},
		"not UTF-8":       {executor.Grants{Args: []string{"\xff"}}, "Func.Grants.Args", "is not UTF-8"},
		"many env":        {executor.Grants{Env: many}, "Func.Grants.Env", "1001 entries"},
		"no key":          {executor.Grants{Env: []string{"=1"}}, "Func.Grants.Env", `"=1"`},
		"no value":        {executor.Grants{Env: []string{"A=1", "B"}}, "Func.Grants.Env", `entry 1, "B", is not`},
		"NUL in env":      {executor.Grants{Env: []string{"A=\x00"}}, "Func.Grants.Env", "NUL"},
		"before 1970":     {executor.Grants{Clock: executor.Clock{Fixed: time.Unix(-1, 0)}}, "Func.Grants.Clock", "1970"},
		"after 2262":      {executor.Grants{Clock: executor.Clock{Fixed: time.Date(2263, 1, 1, 0, 0, 0, 0, time.UTC)}}, "Func.Grants.Clock", "2262"},
		"negative":        {executor.Grants{Clock: executor.Clock{Resolution: -1}}, "Func.Grants.Clock", "-1ns"},
		"over an hour":    {executor.Grants{Clock: executor.Clock{Resolution: time.Hour + 1}}, "Func.Grants.Clock", "1h0m0"},
		"quoted in error": {executor.Grants{Env: []string{"\x1b[2J"}}, "Func.Grants.Env", `"\x1b[2J"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fn := fn
			fn.Grants = tc.grants
			_, err := call(t, ex, fn, nil)
			var oe *executor.OptionError
			require.ErrorAs(t, err, &oe)
			require.Equal(t, tc.option, oe.Option)
			require.Contains(t, oe.Reason, tc.reason)
		})
	}
	limited := fn
	limited.Limits.Input = 10
	limited.Grants.Stdin = []byte("12345678")
	_, err := call(t, ex, limited, []byte("abc"))
	require.Equal(t, &executor.LimitError{Limit: "input", Max: 10, Used: 11}, err)
	out, err := call(t, ex, limited, []byte("ab"))
	require.NoError(t, err)
	require.Equal(t, "ab", string(out))
}

// Standard input comes with each call, also where calls are handed ahead.
func TestGrants_stdinAhead(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	fn := lookFunc{Module: worldModule(t), Name: "look"}
	var futures []*executor.Future[worldLook]
	for i := range 200 {
		if fn.Grants.Stdin = nil; i%3 > 0 {
			fn.Grants.Stdin = []byte(fmt.Sprint("call ", i))
		}
		futures = append(futures, executor.Submit(t.Context(), ex, fn, struct{}{}))
	}
	for i, f := range futures {
		got, err := wait(t, f)
		require.NoError(t, err)
		want := ""
		if i%3 > 0 {
			want = fmt.Sprint("call ", i)
		}
		require.Equal(t, want, got.Now.Stdin)
	}
}
