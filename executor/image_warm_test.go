package executor_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

// warmed returns an executor of one worker whose calls find what the last one left.
func warmed(t *testing.T, o executor.Options) *executor.Executor {
	t.Helper()
	o.Workers, o.StartMethod = 1, startmethod.Warm
	return newExecutor(t, o)
}

// nth makes a call that finds what n-1 others have left.
func nth(t *testing.T, ex *executor.Executor, fn raw, n uint32) executor.Usage {
	t.Helper()
	s, u := show(t, ex, fn)
	require.Equal(t, guesttest.Counts{Memory: n, Global: n}, s)
	require.Equal(t, startmethod.Warm, u.StartMethod)
	return u
}

func TestWarm(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]guesttest.CountGuest{"image": {}, "no image": {Table: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ex, fn := warmed(t, executor.Options{}), states(t, g)
			for n := range uint32(5) {
				u := nth(t, ex, fn("count"), 2*n+1)
				require.Equal(t, g.Table, u.Fallback != "")
				nth(t, ex, fn("log"), 2*n+2)
			}
			// The guest's own failures leave the instance, all else ends it.
			for _, name := range []string{"fail", "panic"} {
				_, err := call(t, ex, fn(name), nil)
				var ge *executor.GuestError
				require.ErrorAs(t, err, &ge)
			}
			nth(t, ex, fn("count"), 13)
			for _, name := range []string{"trap", "exit", "overflow"} {
				_, err := call(t, ex, fn(name), nil)
				require.Error(t, err)
				nth(t, ex, fn("log"), 1)
				nth(t, ex, fn("count"), 2)
			}
			limited := fn("log")
			limited.Limits.Log = 1
			nth(t, ex, fn("count"), 3)
			_, err := call(t, ex, limited, nil)
			require.ErrorIs(t, err, &executor.LimitError{Limit: "log"})
			nth(t, ex, fn("count"), 1)
			require.EqualValues(t, 1, ex.Stats().WorkersStarted)
		})
	}
}

// Who shares an instance: nobody of another tenant or with other grants or limits.
func TestWarm_keys(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(fn *raw)
		shared bool
	}{
		"output": {func(fn *raw) { fn.Limits.Output = 100 }, true},
		"tenant": {func(fn *raw) { fn.Tenant = "t" }, false},
		"memory": {func(fn *raw) { fn.Limits.Memory = 1 << 20 }, false},
		"host":   {func(fn *raw) { fn.Grants.Host = []string{"host"} }, false},
		"seed":   {func(fn *raw) { fn.Grants.Seed = 9 }, false},
		"data":   {func(fn *raw) { fn.Module = states(t, guesttest.CountGuest{Salt: "other"})("").Module }, false},
	} {
		for _, isolate := range []executor.Switch{executor.Off, executor.On} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				ex, fn := warmed(t, executor.Options{IsolateTenants: isolate, Host: host(t, bottom)}), states(t, guesttest.CountGuest{})("count")
				other := fn
				tc.change(&other)
				nth(t, ex, fn, 1)
				if tc.shared {
					nth(t, ex, other, 2)
					nth(t, ex, fn, 3)
					return
				}
				nth(t, ex, other, 1)
				if isolate == executor.Off || name != "tenant" { // else the worker may have been replaced
					nth(t, ex, fn, 2)
					nth(t, ex, other, 2)
				}
			})
		}
	}
}

// A warm instance and clones of the same image have nothing to do with each other.
func TestWarm_besideSnapshot(t *testing.T) {
	t.Parallel()
	ex, fn := warmed(t, executor.Options{}), states(t, guesttest.CountGuest{})("count")
	clone := fn
	clone.StartMethod = startmethod.Snapshot
	for n := range uint32(4) {
		nth(t, ex, fn, n+1)
		clean(t, ex, clone)
	}
	captured(t, ex, 1)
}

// The initializer runs once in each warm instance, or before its image is captured.
func TestWarm_initializer(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		guest guesttest.CountGuest
		lines int
	}{"image": {guesttest.CountGuest{}, 1}, "no image": {guesttest.CountGuest{Table: true}, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log record
			ex, fn := warmed(t, executor.Options{Initializer: begins("log"), GuestLog: log.logger()}), states(t, tc.guest)
			for range 2 {
				nth(t, ex, fn("count"), 2)
				nth(t, ex, fn("count"), 3)
				_, err := call(t, ex, fn("trap"), nil)
				require.Error(t, err)
			}
			nth(t, ex, fn("count"), 2)
			require.Equal(t, tc.lines+tc.lines/2, log.count("begun"))
		})
	}
}

// Many large instances are not kept all at once.
func TestWarm_memory(t *testing.T) {
	t.Parallel()
	ex, fn := warmed(t, executor.Options{}), states(t, guesttest.CountGuest{Grow: 40 << 4})("grow") // 40 MiB
	for round := range 2 {
		for i := range 30 {
			fn.Grants.Seed = uint64(i + 1)
			fn.StartMethod = startmethod.Warm
			if round == 1 && i%2 == 0 {
				fn.StartMethod = startmethod.Snapshot
			}
			s, u := show(t, ex, fn)
			require.LessOrEqual(t, s.Memory, uint32(2))
			require.Equal(t, fn.StartMethod, u.StartMethod, u.Fallback)
		}
	}
	require.EqualValues(t, 1, ex.Stats().WorkersStarted)
	require.Zero(t, ex.Stats().WorkersDied)
}

func TestWarmUp(t *testing.T) {
	t.Parallel()
	warm := func(text string) executor.WarmUp { return executor.WarmUp{Name: "warm", Input: text} }
	warmth := executor.Func[struct{}, []string]{Module: fixture(t), Name: "warmth"}
	for name, tc := range map[string]struct {
		calls  []executor.WarmUp
		want   []string
		reason string
	}{
		"none":    {},
		"two":     {[]executor.WarmUp{warm("a"), warm("b")}, []string{"a", "b"}, ""},
		"unknown": {[]executor.WarmUp{warm("a"), {Name: "nosuch"}}, nil, "nosuch"},
		"fails":   {[]executor.WarmUp{warm("a"), warm("")}, nil, "nothing to keep"},
		"traps":   {[]executor.WarmUp{{Name: "panicgo", Input: "x"}}, nil, "capturing its image failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ex := snapshots(t, executor.Options{Workers: 1, WarmUp: tc.calls})
			for range 2 {
				f := executor.Submit(t.Context(), ex, warmth, struct{}{})
				got, err := wait(t, f)
				require.NoError(t, err)
				require.Equal(t, len(tc.want), len(got))
				require.Equal(t, strings.Join(tc.want, ","), strings.Join(got, ","))
				require.Equal(t, tc.reason == "", f.Usage().StartMethod == startmethod.Snapshot)
				require.Contains(t, f.Usage().Fallback, tc.reason)
			}
		})
	}
}

func TestWarmUp_raw(t *testing.T) {
	t.Parallel()
	ex := snapshots(t, executor.Options{Workers: 1, WarmUp: []executor.WarmUp{{Name: "count"}, {Name: "host", Input: []byte("x")}}})
	for range 3 {
		s, u := show(t, ex, states(t, guesttest.CountGuest{})("count"))
		require.Equal(t, guesttest.Counts{Memory: 3, Global: 3}, s)
		require.Equal(t, startmethod.Snapshot, u.StartMethod, u.Fallback)
	}
}

func TestWarmUp_options(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		calls []executor.WarmUp
		want  string
	}{
		"no name":  {[]executor.WarmUp{{Name: "a"}, {}}, "Options.WarmUp[1].Name"},
		"bad name": {[]executor.WarmUp{{Name: "a\nb"}}, "Options.WarmUp[0].Name"},
		"nameless": {[]executor.WarmUp{{Input: 1}}, "Options.WarmUp[0]"},
		"too many": {make([]executor.WarmUp, 65), "65 calls are more than 64"},
		"too much": {[]executor.WarmUp{{Name: "a", Input: make([]byte, 1<<20)}, {Name: "b", Input: []byte{1}}}, "with those of WarmUp"},
		"no codec": {[]executor.WarmUp{{Name: "a", Input: func() {}}}, "encode Options.WarmUp[0].Input"},
	} {
		_, err := executor.New(&executor.Options{WarmUp: tc.calls})
		require.ErrorContains(t, err, tc.want, name)
	}
}
