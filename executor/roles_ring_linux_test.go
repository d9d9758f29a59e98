package executor_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/engine"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/ring"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/startmethod"
)

func init() {
	roles["headlies"] = func() {
		shared(func(r *wire.Reader, w *wire.Writer, words []byte) {
			h := nextCall(r)
			must(w.Write(result(h.ID), nil))
			nextCall(r)
			const headToHost = 4096 // docs/protocol.md
			binary.LittleEndian.PutUint64(words[headToHost:], 1<<40)
			select {}
		})
	}
	roles["readsnothing"] = func() {
		shared(func(_ *wire.Reader, w *wire.Writer, _ []byte) {
			for id := uint64(1); ; id++ { // until the stream is full
				must(w.Write(result(id), nil))
			}
		})
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func nextCall(r *wire.Reader) wire.Header {
	h, err := r.Next(wire.Limits{{Type: wire.TypeCall, Max: wire.MaxPayload}})
	must(err)
	must(r.Discard())
	return h
}

// shared behaves until it has loaded its module, with frames through shared memory, and
// then as then says; words are the memory's beginning.
func shared(then func(r *wire.Reader, w *wire.Writer, words []byte)) {
	in := pipes()
	r, w := wire.NewReader(in.Requests), wire.NewWriter(in.Replies)
	_, err := r.Next(wire.Limits{{Type: wire.TypeHello, Max: wire.MaxControl}})
	must(err)
	must(r.Discard())
	f, err := in.ReceiveBlob()
	must(err)
	words, err := unix.Mmap(int(f.Fd()), 0, 1<<14, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(err)
	mine, err := ring.Open(f)
	must(err)
	b, err := wire.Marshal(wire.Ready{Engine: engine.Version(), Ring: true})
	must(err)
	must(w.Write(wire.Header{Type: wire.TypeReady}, b))
	r, w = wire.NewReader(mine), wire.NewWriter(mine)
	h, err := r.Next(wire.Limits{{Type: wire.TypeLoad, Max: wire.MaxLoad}})
	must(err)
	must(r.Discard())
	must(w.Write(wire.Header{Type: wire.TypeLoaded, Slot: h.Slot}))
	then(r, w, words)
}

func sharing(t *testing.T, role string, limits executor.Limits) (*executor.Executor, raw) {
	t.Helper()
	path := script(t, role) // also where it is skipped: who counts unused roles need not know why
	if os.Getenv(executor.TransportEnv) == "pipe" {
		t.Skip("there is no shared memory")
	}
	ex := newExecutor(t, executor.Options{Workers: 1, WorkerPath: path, CacheDir: executor.NoCacheDir, StartMethod: startmethod.Fresh, Limits: limits})
	return ex, raw{Module: newModule(t, "echo", guesttest.TinyEcho()), Name: "echo"}
}

// A worker that has been taken over and lies about how far it has written is found out in
// the middle of a Wait, without a deadline.
func TestRing_headLies(t *testing.T) {
	t.Parallel()
	ex, fn := sharing(t, "headlies", executor.Limits{Wall: -1})
	_, err := executor.Submit(t.Context(), ex, fn, nil).Wait(t.Context())
	require.NoError(t, err)
	_, err = executor.Submit(t.Context(), ex, fn, nil).Wait(t.Context())
	loss, ok := errors.AsType[*executor.WorkerError](err)
	require.True(t, ok, "%v", err)
	require.ErrorIs(t, loss, ring.ErrCorrupt)
}

// A worker that answers calls which it has not read does not make Submit wait: what ends the
// call's context ends the call.
func TestRing_readsNothing(t *testing.T) {
	t.Parallel()
	ex, fn := sharing(t, "readsnothing", executor.Limits{Wall: -1})
	const enough = 40 // calls of 4000 bytes fill the stream, and what is sent ahead of it
	for range enough {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_, err := executor.Submit(ctx, ex, fn, make([]byte, 4000)).Wait(t.Context())
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
			return
		}
	}
	t.Fatal("the stream to the worker has no end")
}
