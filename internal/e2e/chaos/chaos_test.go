package chaos_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/census"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// raw is a function from bytes to bytes, future a call of one.
type (
	raw    = executor.Func[[]byte, []byte]
	future = executor.Future[[]byte]
)

// A storm is one run of the test.
type storm struct {
	pool     executor.Reusable
	ex       *executor.Executor // of pool; never stale
	variants []executor.Options

	echo, again, trap, spin raw // again echoes through the host

	calls     int64
	until     time.Time
	submitted atomic.Int64 // calls
	futures   atomic.Int64 // of these, those with a callback
	callbacks atomic.Int64 // that were run
	settled   atomic.Int64 // calls whose end has been looked at
	over      atomic.Bool  // something is wrong: the run ends early

	mu       sync.Mutex // guards the fields below
	wrongs   []string
	outcomes map[string]int // how often calls ended how
	troubles map[string]int // how often what was done to the executor
	recent   []int          // workers that have answered, the last ones
	killed   map[int]bool
}

// callers is how many goroutines submit.
const callers = 8

func TestChaos(t *testing.T) {
	s := newStorm(t)
	from := cmp.Or(*seed, uint64(time.Now().UnixNano()))
	t.Logf("seed %d", from)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again with the flag -chaos.seed=%d", from)
		}
	})
	var wg sync.WaitGroup
	for i := range uint64(callers) {
		wg.Go(func() { newCaller(s, rand.New(rand.NewPCG(from, i))).run() })
	}
	s.watch(t, wg.Wait)
	// Nothing is left to do, so that this takes no time.
	ctx, cancel := context.WithTimeoutCause(t.Context(), hang/4, errLate)
	defer cancel()
	s.watch(t, func() { require.NoError(t, s.ex.Shutdown(ctx)) })
	s.watch(t, func() { require.NoError(t, s.pool.Close()) })

	t.Logf("%d calls", s.submitted.Load())
	for _, counts := range []map[string]int{s.troubles, s.outcomes} {
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			t.Logf("%7d %s", counts[name], name)
		}
	}
	require.Empty(t, s.wrongs)
	require.Eventually(t, func() bool { return s.callbacks.Load() == s.futures.Load() }, hang, time.Millisecond,
		"each of %d futures calls back", s.futures.Load())
	require.Empty(t, census.Take().Children)
	for _, name := range []string{"result", "killed", "cancelled", "late"} {
		require.True(t, testing.Short() || s.outcomes[name] > 0, "the run shows nothing: no call that is %s", name)
	}
}

// watch waits for f and fails the test when nothing happens any more.
func (s *storm) watch(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	for {
		settled := s.settled.Load()
		select {
		case <-done:
			return
		case <-time.After(hang):
		}
		if s.settled.Load() == settled {
			var stacks strings.Builder
			_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			t.Fatalf("everything hangs after %d calls: %q\n%s", settled, s.wrongs, &stacks)
		}
	}
}

func newStorm(t *testing.T) *storm {
	t.Helper()
	s := &storm{
		echo:     tinyFunc(t, "echo", guesttest.TinyEcho()),
		trap:     tinyFunc(t, "trap", guesttest.TinyTrap()),
		spin:     tinyFunc(t, "spin", guesttest.TinySpin()),
		again:    tinyFunc(t, "hostcall", guesttest.TinyHostCall("again")),
		calls:    cmp.Or(*leastCalls, 10_000),
		until:    time.Now().Add(*leastTime),
		outcomes: make(map[string]int), troubles: make(map[string]int), killed: make(map[int]bool),
	}
	s.again.Grants.Host = []string{"again"}
	if testing.Short() && *leastCalls == 0 {
		s.calls = 1500
	}
	host, err := executor.NewHostModule(executor.HostFunc("again", func(ctx context.Context, in []byte) ([]byte, error) {
		return executor.Submit(ctx, s.ex, s.echo, in).Wait(ctx)
	}))
	require.NoError(t, err)
	base := executor.Options{
		CacheDir: guesttest.CodeCache(t), WorkerPath: guesttest.Worker(t), Host: host, Workers: 2, Limits: executor.Limits{Wall: hang},
	}
	for _, change := range []func(o *executor.Options){
		func(*executor.Options) {},
		func(o *executor.Options) { o.Batch = -1 },
		func(o *executor.Options) { o.Batch, o.CallsPerWorker = 4, 20 },
		func(o *executor.Options) { o.IdleTimeout, o.MinWorkers = time.Millisecond, 1 },
		func(o *executor.Options) { o.StartMethod = startmethod.Fresh },
		func(o *executor.Options) { o.IsolateTenants = executor.Off },
		func(o *executor.Options) { o.MaxPending, o.TenantWorkers = 20, 1 },
		func(o *executor.Options) { o.MaxPending, o.BlockWhenFull = 5, true },
		func(o *executor.Options) { o.Standby, o.WorkerAge = 1, 50*time.Millisecond },
		func(o *executor.Options) { o.CrashPolicy = executor.Break },
	} {
		o := base
		change(&o)
		s.variants = append(s.variants, o)
	}
	s.ex, err = s.pool.Get(t.Context(), &s.variants[0])
	require.NoError(t, err)
	return s
}

func tinyFunc(t *testing.T, name string, wasm []byte) raw {
	t.Helper()
	m, err := serialize.NewModule(name, wasm)
	require.NoError(t, err)
	return raw{Module: m, Name: name}
}

// goesOn reports whether there is more to do.
func (s *storm) goesOn() bool {
	return !s.over.Load() && (s.submitted.Load() < s.calls || time.Now().Before(s.until))
}

// wrong ends the run.
func (s *storm) wrong(format string, args ...any) {
	s.over.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrongs) < 20 {
		s.wrongs = append(s.wrongs, fmt.Sprintf(format, args...))
	}
}

func (s *storm) count(counts map[string]int, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts[name]++
}

// seen remembers a worker as one that can be killed.
func (s *storm) seen(pid int) {
	if pid == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recent = append(s.recent, pid); len(s.recent) > 2*callers {
		s.recent = slices.Delete(s.recent, 0, callers)
	}
}

// settle looks at how a call has ended: with its result, or with an error that
// something has happened for.
func (s *storm) settle(c *call) {
	f := c.future
	select {
	case <-f.Done():
	case <-time.After(hang):
		s.wrong("%s hangs: %v, %+v, executor %+v", c.kind, f.State(), f.Usage(), s.ex.Stats())
		return
	}
	out, err := f.Wait(context.Background())
	again, errAgain := f.Wait(context.Background())
	if state := f.State(); state != executor.Done || string(again) != string(out) || errAgain != err { //nolint:errorlint // the very same value
		s.wrong("%s is %v with %v and then with %v", c.kind, state, err, errAgain)
	}
	s.settled.Add(1)
	s.seen(f.Usage().PID)
	if err == nil {
		if c.want == nil || string(out) != *c.want {
			s.wrong("%s has the result %.100q", c.kind, out)
		}
		s.count(s.outcomes, "result")
		return
	}
	name := s.explain(c, err)
	if name == "" {
		s.wrong("%s has ended with %v (%T)", c.kind, err, err)
	}
	s.count(s.outcomes, name)
}

// explain names the reason for a call's error, or is empty if there is none.
func (s *storm) explain(c *call, err error) string {
	if ge, ok := errors.AsType[*executor.GuestError](err); ok {
		switch {
		case c.traps && ge.Code == executor.CodeTrap:
			return "trap"
		case c.nested && ge.Code == executor.CodeError:
			return s.explainNested(ge.Message)
		default:
			return ""
		}
	}
	if le, ok := errors.AsType[*executor.LimitError](err); ok && c.limited && le.Limit == "wall" {
		return "limit"
	}
	we, dead := errors.AsType[*executor.WorkerError](err)
	switch {
	case errors.Is(err, executor.ErrBroken):
		if dead {
			return "broken"
		}
		return ""
	case dead:
		return s.explainDeath(c, we)
	case errors.Is(err, context.Canceled) && c.cancelled:
		return "cancelled"
	case errors.Is(err, errGone) && c.cancelled:
		return "gone"
	case errors.Is(err, errLate) && c.deadline:
		return "late"
	case errors.Is(err, executor.ErrShutdown):
		return "shut down"
	case errors.Is(err, executor.ErrQueueFull):
		return "queue full"
	default:
		return ""
	}
}

// explainDeath wants a worker that the test has killed, as often as the call
// may be run.
func (s *storm) explainDeath(c *call, we *executor.WorkerError) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	attempts := 1
	if c.idempotent {
		attempts = 3
	}
	if u := c.future.Usage(); !s.killed[we.PID] || we.Attempts > attempts || c.idempotent && u.Attempts < attempts {
		return ""
	}
	return "killed"
}

// explainNested is explain for what has reached a guest as text.
func (*storm) explainNested(text string) string {
	for part, name := range map[string]string{
		"was killed by SIGKILL":       "nested: killed",
		"exited with code 1":          "nested: killed", // on Windows
		executor.ErrShutdown.Error():  "nested: shut down",
		executor.ErrBroken.Error():    "nested: broken",
		executor.ErrQueueFull.Error(): "nested: queue full",
	} {
		if strings.Contains(text, part) {
			return name
		}
	}
	return ""
}
