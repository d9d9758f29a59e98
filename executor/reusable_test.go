package executor_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
)

// reusableOptions are options that tests change copies of.
func reusableOptions(t *testing.T) executor.Options {
	t.Helper()
	return executor.Options{Workers: 1, CacheDir: guesttest.CodeCache(t), WorkerPath: guesttest.Worker(t)}
}

func newReusable(t *testing.T) *executor.Reusable {
	t.Helper()
	r := new(executor.Reusable)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

func get(t *testing.T, r *executor.Reusable, o executor.Options) *executor.Executor {
	t.Helper()
	ex, err := r.Get(t.Context(), &o)
	require.NoError(t, err)
	return ex
}

func TestReusable_equality(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	hosts := host(t, bottom)
	base := reusableOptions(t)
	base.Env = []string{"A=1", "B=2"}
	base.Initializer = executor.Initializer{Name: "setup", Input: map[string]any{"a": 1, "b": []int{1, 2}}}
	base.Logger, base.Host = log, hosts
	for name, tc := range map[string]struct {
		change func(o *executor.Options)
		same   bool
	}{
		"nothing":     {func(*executor.Options) {}, true},
		"Workers":     {func(o *executor.Options) { o.Workers = 2 }, true},
		"Replace":     {func(o *executor.Options) { o.Replace = executor.Kill }, true},
		"Env, copied": {func(o *executor.Options) { o.Env = []string{"A=1", "B=2"} }, true},
		"Input, made anew": {func(o *executor.Options) {
			o.Initializer.Input = map[string]any{"b": []int{1, 2}, "a": 1}
		}, true},
		"Env":           {func(o *executor.Options) { o.Env = []string{"A=1", "B=3"} }, false},
		"Env, order":    {func(o *executor.Options) { o.Env = []string{"B=2", "A=1"} }, false},
		"Input":         {func(o *executor.Options) { o.Initializer.Input = map[string]any{"a": 1} }, false},
		"Input, bytes":  {func(o *executor.Options) { o.Initializer.Input = []byte{1} }, false},
		"Name":          {func(o *executor.Options) { o.Name = "other" }, false},
		"Logger":        {func(o *executor.Options) { o.Logger = slog.New(slog.DiscardHandler) }, false},
		"no Logger":     {func(o *executor.Options) { o.Logger = nil }, false},
		"GuestLog":      {func(o *executor.Options) { o.GuestLog = log }, false},
		"Host":          {func(o *executor.Options) { o.Host = host(t, bottom) }, false},
		"Limits":        {func(o *executor.Options) { o.Limits.Wall = time.Hour }, false},
		"IdleTimeout":   {func(o *executor.Options) { o.IdleTimeout = time.Hour }, false},
		"CrashPolicy":   {func(o *executor.Options) { o.CrashPolicy = executor.Break }, false},
		"StartMethod":   {func(o *executor.Options) { o.StartMethod = "fresh" }, false},
		"TenantWorkers": {func(o *executor.Options) { o.TenantWorkers = 1 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReusable(t)
			require.EqualValues(t, 1, get(t, r, base).Stats().ID)
			o := base
			tc.change(&o)
			id := get(t, r, o).Stats().ID
			if tc.same {
				require.EqualValues(t, 1, id)
			} else {
				require.EqualValues(t, 2, id)
			}
		})
	}
}

// TestReusable_envIsCopied changes the caller's slice after Get.
func TestReusable_envIsCopied(t *testing.T) {
	t.Parallel()
	r, o := newReusable(t), reusableOptions(t)
	o.Env = []string{"A=1"}
	get(t, r, o)
	o.Env[0] = "A=2"
	require.EqualValues(t, 2, get(t, r, o).Stats().ID)
}

func TestReusable_replace(t *testing.T) {
	t.Parallel()
	for name, kill := range map[string]bool{"drain": false, "kill": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate()
			r, o := newReusable(t), reusableOptions(t)
			o.Host = host(t, g.call)
			ex := get(t, r, o)
			running := executor.Submit(t.Context(), ex, viaHost(t), []byte("running"))
			g.entered(t, 1)
			queued := executor.Submit(t.Context(), ex, viaHost(t), []byte("queued"))
			o.Name = "other"
			if kill {
				o.Replace = executor.Kill
			}
			next := get(t, r, o)
			require.EqualValues(t, 2, next.Stats().ID)
			require.EqualValues(t, 2, ex.Stats().ID, "an old handle stands for the new executor")
			out, err := call(t, ex, echoFunc(t), []byte("new"))
			require.NoError(t, err)
			require.Equal(t, "new", string(out))
			if kill {
				for _, f := range []*executor.Future[[]byte]{running, queued} {
					_, err := wait(t, f)
					require.ErrorIs(t, err, executor.ErrShutdown)
				}
				return
			}
			require.Equal(t, executor.Running, running.State())
			require.Equal(t, executor.Queued, queued.State())
			close(g.pass)
			for _, f := range []*executor.Future[[]byte]{running, queued} {
				_, err := wait(t, f)
				require.NoError(t, err)
			}
		})
	}
}

// TestReusable_handles uses handles whose executor has been closed in every way.
func TestReusable_handles(t *testing.T) {
	t.Parallel()
	r := newReusable(t)
	o := reusableOptions(t)
	o.CrashPolicy = executor.Break
	ex := get(t, r, o)
	id := uint64(1)
	for name, end := range map[string]func(){
		"Close":          func() { require.NoError(t, ex.Close()) },
		"Shutdown":       func() { require.NoError(t, ex.Shutdown(t.Context())) },
		"Reusable.Close": func() { require.NoError(t, r.Close()) },
		"broken": func() {
			_, err := call(t, ex, echoFunc(t), nil)
			require.NoError(t, err)
			executor.PanicCurrent(ex, "over")
		},
	} {
		end()
		require.Equal(t, id, ex.Stats().ID, "%s: nothing is started before it is needed", name)
		out, err := call(t, ex, echoFunc(t), []byte(name))
		require.NoError(t, err)
		require.Equal(t, name, string(out))
		id++
		require.Equal(t, id, ex.Stats().ID, name)
		require.Equal(t, 1, ex.Stats().Limit, "with the options it had")
	}
	require.NoError(t, ex.Close())
	require.NoError(t, ex.Resize(2))
	require.Equal(t, 2, ex.Stats().Limit)
	require.NoError(t, ex.Close())
	require.NoError(t, ex.Prewarm(t.Context(), 1))
	require.NoError(t, ex.Close())
	n := 0
	for range executor.Map(t.Context(), ex, echoFunc(t), numbered(5, new(int))) {
		n++
	}
	require.Equal(t, 5, n)
	require.NoError(t, ex.Close())
	_, err := executor.Describe(t.Context(), ex, echoFunc(t).Module)
	require.NoError(t, err)
	require.NoError(t, ex.Close())
	again, err := r.Get(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, 1, again.Stats().Limit)
}

func TestReusable_wrongOptions(t *testing.T) {
	t.Parallel()
	r, o := newReusable(t), reusableOptions(t)
	ex := get(t, r, o)
	f := executor.Submit(t.Context(), ex, spinFunc(t), nil)
	running(t, f)
	wrong := o
	wrong.Name = "a b"
	var oe *executor.OptionError
	_, err := r.Get(t.Context(), &wrong)
	require.ErrorAs(t, err, &oe)
	wrong = o
	wrong.Workers = 3000
	_, err = r.Get(t.Context(), &wrong)
	require.ErrorAs(t, err, &oe)
	wrong = o
	wrong.Initializer.Input = "without a name"
	_, err = r.Get(t.Context(), &wrong)
	require.ErrorAs(t, err, &oe)
	ended, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("too late")
	cancel(reason)
	_, err = r.Get(ended, nil)
	require.ErrorIs(t, err, reason)
	s := get(t, r, o).Stats()
	require.EqualValues(t, 1, s.ID)
	require.Equal(t, 1, s.Limit)
	require.Equal(t, executor.Running, f.State(), "the present one is left alone")
}

// TestReusable_storm gets, uses and closes from many goroutines at once.
func TestReusable_storm(t *testing.T) {
	t.Parallel()
	r, o, echo := newReusable(t), reusableOptions(t), echoFunc(t)
	rounds := 15
	if testing.Short() {
		rounds = 5
	}
	var wg sync.WaitGroup
	var last, good atomic.Uint64
	for g := range 6 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 0))
			for range rounds {
				mine := o
				mine.Workers = 1 + random.IntN(3)
				mine.Name = []string{"", "a", "b"}[random.IntN(3)]
				mine.Replace = executor.Replacement(random.IntN(2))
				ex, err := r.Get(context.Background(), &mine)
				if err != nil {
					t.Errorf("Get: %v", err)
					return
				}
				id := ex.Stats().ID
				for before := last.Load(); id > before && !last.CompareAndSwap(before, id); before = last.Load() {
				}
				out, err := executor.Submit(context.Background(), ex, echo, []byte("x")).Wait(context.Background())
				switch {
				case err == nil && string(out) == "x":
					good.Add(1)
				case !errors.Is(err, executor.ErrShutdown): // another one's Kill or Close
					t.Errorf("call: %q, %v", out, err)
				}
				if random.IntN(5) == 0 {
					if err := ex.Close(); err != nil {
						t.Errorf("Close: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	require.Positive(t, good.Load())
	ex, err := r.Get(t.Context(), nil)
	require.NoError(t, err)
	require.GreaterOrEqual(t, ex.Stats().ID, last.Load(), "they only grow")
}
