package executor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

// Whatever is done to an executor, its counters say what is so.
func TestInvariants(t *testing.T) {
	for name, o := range map[string]executor.Options{
		"plain":   {Workers: 2},
		"small":   {Workers: 1, MaxPending: 3, BlockWhenFull: true, TenantPending: 2, TenantWorkers: 1, IdleTimeout: time.Millisecond},
		"full":    {Workers: 3, MaxPending: 20, CallsPerWorker: 20},
		"spare":   {Workers: 2, MinWorkers: 1, Standby: 2, CallsPerWorker: 7, IdleTimeout: 3 * time.Millisecond},
		"growing": {Workers: 2, WorkerGrowth: 1 << 10, GrowthCheck: time.Microsecond},
		// Images are captured all the time, and few are kept.
		"images": {Workers: 2, Name: "images", CallsPerWorker: 50},
		"shared": {Workers: 2, IsolateTenants: executor.Off, WorkerAge: 20 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Log("seed", seed)
			stressInvariants(t, o, seed)
		})
	}
}

func stressInvariants(t *testing.T, o executor.Options, seed uint64) {
	t.Helper()
	var once sync.Once
	var wrongs atomic.Int64
	stop := executor.CheckTransitions(func(wrong string) {
		if wrongs.Add(1) < 10 {
			t.Log(wrong)
		}
		once.Do(func() { t.Error("an invariant does not hold") })
	})
	defer stop()
	var ex *executor.Executor
	echo, spin := echoFunc(t), spinFunc(t)
	m, err := executor.NewHostModule(executor.HostFunc("f", func(ctx context.Context, in []byte) ([]byte, error) {
		if len(in) == 0 {
			return in, nil
		}
		fn := echo
		if in[0]%2 == 0 {
			fn = nester(t)
		}
		f := executor.Submit(ctx, ex, fn, in[1:])
		if len(in)%3 == 0 {
			executor.Submit(ctx, ex, echo, in) // nobody waits for it
		}
		return f.Wait(ctx)
	}))
	require.NoError(t, err)
	o.Host = m
	if o.CacheDir == "" {
		o.CacheDir = guesttest.CodeCache(t)
	}
	o.WorkerPath = guesttest.Worker(t)
	ex, err = executor.New(&o)
	require.NoError(t, err)
	if o.Name == "images" {
		executor.SetImageAge(ex, time.Millisecond)
		executor.SetMaxImages(ex, 3)
	}
	var wg sync.WaitGroup
	var pid atomic.Int64
	over := make(chan struct{})
	wg.Go(func() { // what happens to it
		r := rand.New(rand.NewPCG(seed, 1))
		for {
			select {
			case <-over:
				return
			case <-time.After(time.Duration(r.IntN(20)) * time.Millisecond):
			}
			switch r.IntN(6) {
			case 0:
				assert.NoError(t, ex.Resize(1+r.IntN(3)))
			case 1:
				if p := int(pid.Load()); p > 0 && alive(p) {
					_ = kill(p)
				}
			case 2:
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				_ = ex.Prewarm(ctx, r.IntN(3), echo.Module)
				cancel()
			}
		}
	})
	rounds := 12
	if testing.Short() {
		rounds = 6
	}
	var clients sync.WaitGroup
	for client := range uint64(4) {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(seed, 10+client))
			for round := range rounds {
				if client == 3 && round%2 == 0 {
					mapSome(t, ex, r)
				}
				var fs []*executor.Future[[]byte]
				for range r.IntN(80) {
					fn := echo
					switch r.IntN(12) {
					case 0:
						fn = spin
						fn.Limits.Wall = time.Duration(1+r.IntN(20)) * time.Millisecond
					case 1, 2:
						fn = nester(t)
					case 3:
						fn.StartMethod = []startmethod.Method{startmethod.Warm, startmethod.Precompiled}[r.IntN(2)]
					}
					fn.Tenant = fmt.Sprint("t", r.IntN(3))
					fn.Priority = r.IntN(3)
					fn.Idempotent = r.IntN(2) == 0
					ctx, cancel := t.Context(), func() {}
					if r.IntN(5) == 0 {
						ctx, cancel = context.WithTimeout(ctx, time.Duration(r.IntN(5000))*time.Microsecond)
					}
					f := executor.Submit(ctx, ex, fn, make([]byte, r.IntN(6)))
					f.OnDone(func(*executor.Future[[]byte]) { cancel() })
					fs = append(fs, f)
				}
				for _, f := range fs {
					if r.IntN(4) == 0 {
						f.Cancel()
					}
				}
				for _, f := range fs {
					_, err := wait(t, f)
					if p := f.Usage().PID; p > 0 {
						pid.Store(int64(p))
					}
					if errors.Is(err, executor.ErrBroken) {
						t.Error(err)
					}
				}
			}
		})
	}
	clients.Wait()
	close(over)
	wg.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	if seed%2 == 0 {
		assert.NoError(t, ex.Shutdown(ctx))
	}
	assert.NoError(t, ex.Close())
	s := ex.Stats()
	assert.Equal(t, s.WorkersStarted, s.WorkersDied+s.WorkersKilled+s.WorkersRetired, "%+v", s)
	t.Logf("%+v", s)
}

// mapSome runs a Map in which anything may happen, to its end or not.
func mapSome(t *testing.T, ex *executor.Executor, r *rand.Rand) {
	t.Helper()
	fn := mixedFunc(t)
	fn.Grants.Host = []string{"f"}
	fn.Module = tiny(t, "mixed f", guesttest.TinyMixed("f"))
	fn.Tenant = fmt.Sprint("t", r.IntN(3))
	fn.Limits.Wall = 20 * time.Millisecond
	special := make(map[int]string)
	for range r.IntN(8) {
		special[r.IntN(600)] = string("tsflhb"[r.IntN(6)])
	}
	left, n := r.IntN(1200), 0
	executor.SetPace(ex, fn.Module, fn.Name, time.Microsecond)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range executor.Map(ctx, ex, fn, marked(600, special)) {
		if n++; n == left {
			if r.IntN(2) == 0 {
				return
			}
			cancel()
		}
	}
}

// nester is a guest that hands its input to the host.
func nester(t *testing.T) raw {
	t.Helper()
	return raw{Module: tiny(t, "nester", guesttest.TinyHostCall("f")), Name: "hostcall", Grants: executor.Grants{Host: []string{"f"}}}
}
