package hostile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

type (
	raw    = executor.Func[[]byte, []byte]
	future = executor.Future[[]byte]
)

// Limits of the pool. Those of time are for calls that are meant to come to their end.
var limits = executor.Limits{Wall: 20 * time.Second, Memory: 64 << 20, Input: 1 << 20, Output: 1 << 20, Log: 64 << 10}

// brief is the wall limit of calls that may hang.
const brief = 250 * time.Millisecond

// A pool is an executor with a neighbour who calls a good function all the time.
type pool struct {
	ex   *executor.Executor
	echo raw
	logs logCheck

	calls atomic.Int64 // of the neighbour, that went well
	lost  atomic.Value // the first error of the neighbour: a string
}

func newPool(t *testing.T, method startmethod.Method) *pool {
	t.Helper()
	p := new(pool)
	o := executor.Options{
		Workers: 2, StartMethod: method, Limits: limits, CacheDir: executor.NoCacheDir,
		GuestLog: slog.New(&p.logs), Host: hostModule(t), WorkerPath: guesttest.Worker(t),
	}
	ex, err := executor.New(&o)
	require.NoError(t, err)
	p.ex, p.echo = ex, raw{Module: module(t, "good", guesttest.TinyEcho()), Name: "echo"}
	p.good(t)
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	wg.Go(func() { p.neighbour(ctx) }) // until stop
	t.Cleanup(func() {
		stop()
		wg.Wait()
		require.NoError(t, ex.Close())
		require.Nil(t, p.lost.Load(), "a neighbour's good call failed")
		require.Positive(t, p.calls.Load())
		require.Nil(t, p.logs.wrong.Load(), "a log record is not fit to be shown")
		t.Logf("%s: %d good calls of the neighbour meanwhile, all went well", method, p.calls.Load())
	})
	return p
}

func module(t *testing.T, name string, wasm []byte) *serialize.Module {
	t.Helper()
	m, err := serialize.NewModule(name, wasm)
	require.NoError(t, err)
	return m
}

// hostModule has the one function that guests may be granted.
func hostModule(t *testing.T) *executor.HostModule {
	t.Helper()
	m, err := executor.NewHostModule(executor.HostFunc("echo", func(_ context.Context, in []byte) ([]byte, error) { return in, nil }))
	require.NoError(t, err)
	return m
}

// neighbour makes good calls, now and then, until ctx ends.
func (p *pool) neighbour(ctx context.Context) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		want := fmt.Appendf(nil, "call %d", n)
		// No part of ctx: a call that has begun is to succeed.
		out, err := executor.Submit(context.Background(), p.ex, p.echo, want).Wait(context.Background())
		if err == nil && !bytes.Equal(want, out) {
			err = fmt.Errorf("echoed %q instead of %q", out, want)
		}
		if err != nil {
			p.lost.CompareAndSwap(nil, fmt.Sprintf("call %d: %v", n, err))
			return
		}
		p.calls.Add(1)
	}
}

// good makes one good call.
func (p *pool) good(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	out, err := executor.Submit(ctx, p.ex, p.echo, []byte("good")).Wait(ctx)
	require.NoError(t, err, "a good call right after")
	require.Equal(t, "good", string(out))
}

// errMemory reports a call that had more memory than its limit.
var errMemory = errors.New("the call had more memory than its limit")

// run makes one call of a module's function, from the module's bytes on.
func (p *pool) run(ctx context.Context, wasm []byte, s specimen) error {
	m, err := serialize.NewModule("\x1b[31mhostile\n", wasm)
	if err != nil {
		return err
	}
	f := p.submit(ctx, m, s)
	_, err = f.Wait(ctx)
	if f.Usage().Memory > limits.Memory {
		return errMemory
	}
	return err
}

func (p *pool) submit(ctx context.Context, m *serialize.Module, s specimen) *future {
	fn := raw{Module: m, Name: function, Limits: executor.Limits{Wall: s.wall}, Grants: executor.Grants{Host: s.host}}
	if s.function != "" {
		fn.Name = s.function
	}
	if fn.Limits.Wall == 0 && slices.Contains(s.want, wall) {
		fn.Limits.Wall = brief
	}
	return executor.Submit(ctx, p.ex, fn, s.input)
}

// A logCheck is a log handler that looks for what should not be shown.
type logCheck struct {
	wrong atomic.Value // the first such message: a string
	lines atomic.Int64
}

// Enabled implements slog.Handler.
func (h *logCheck) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (h *logCheck) Handle(_ context.Context, r slog.Record) error {
	h.lines.Add(1)
	if why := unfit(r.Message); why != "" {
		h.wrong.CompareAndSwap(nil, why)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (h *logCheck) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h *logCheck) WithGroup(string) slog.Handler { return h }
