package wasmworker_test

import (
	"crypto/sha256"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/cborcodec"
	"github.com/sandpool/sandpool/internal/engine"
	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/startmethod"
)

// hang is how long a test waits for what must happen.
const hang = 2 * time.Minute

// outputLimit is that of slots whose test does not say otherwise.
const outputLimit = 2 << 20

// replyLimits is what a test may be sent.
var replyLimits = wire.Limits{
	{Type: wire.TypeReady, Max: wire.MaxControl},
	{Type: wire.TypeLoaded, Max: 0},
	{Type: wire.TypeResult, Max: 64 << 20},
	{Type: wire.TypeFail, Max: wire.MaxFail},
	{Type: wire.TypeHostCall, Max: 64 << 20},
	{Type: wire.TypeRevoked, Max: 0},
	{Type: wire.TypeCollected, Max: 0},
}

// A worker is a worker process, to whom the test is the host.
type worker struct {
	*proc.Process

	t    *testing.T
	r    *wire.Reader
	w    *wire.Writer
	exit func() proc.Exit
}

// startWorker starts this test binary as a worker, or the given program. Under the
// race detector the first one checks the worker too.
func startWorker(t *testing.T, path string) *worker {
	t.Helper()
	l := proc.NewLauncher()
	t.Cleanup(l.Close)
	p, err := l.Start(proc.Spec{Path: path, Name: "sandpool-test"})
	require.NoError(t, err)
	w := &worker{
		Process: p, t: t, r: wire.NewReader(p.Replies), w: wire.NewWriter(p.Requests),
		exit: sync.OnceValue(p.Wait),
	}
	timer := time.AfterFunc(hang, p.Kill) // so that reading from it ends
	t.Cleanup(func() { timer.Stop(); p.Kill(); w.exit() })
	hello, err := wire.Marshal(wire.Hello{Role: wire.RoleWorker, Engine: engine.Version()})
	require.NoError(t, err)
	w.send(wire.Header{Type: wire.TypeHello}, hello)
	w.expect(wire.Header{Type: wire.TypeReady})
	return w
}

// fixtureWorker is a worker that has the Go guest's code at hand.
func fixtureWorker(t *testing.T) (w *worker, fixture []byte) {
	t.Helper()
	return startWorker(t, guesttest.Worker(t)), guesttest.Bytes(t, "fixture")
}

func (w *worker) send(h wire.Header, payload []byte) {
	w.t.Helper()
	require.NoError(w.t, w.w.Write(h, payload))
}

// receive reads the next frame.
func (w *worker) receive() (wire.Header, []byte) {
	w.t.Helper()
	h, err := w.r.Next(replyLimits)
	if err != nil {
		w.Kill()
		require.NoError(w.t, err, "%+v", w.exit())
	}
	payload, err := w.r.Payload(nil)
	require.NoError(w.t, err)
	return h, payload
}

// expect reads a frame that has these fields, apart from length, and for results
// apart from what was measured, and returns its payload.
func (w *worker) expect(want wire.Header) []byte {
	w.t.Helper()
	h, payload := w.receive()
	want.Length = h.Length
	if want.Type == wire.TypeResult {
		want.Code, want.Time = h.Code, h.Time
	}
	require.Equal(w.t, want, h, "%.200q", payload)
	return payload
}

// load binds a slot. The defaults are a Precompiled call with room for the fixture.
func (w *worker) load(slot uint32, wasm []byte, change ...func(*wire.Load)) {
	w.t.Helper()
	sum := sha256.Sum256(wasm)
	l := wire.Load{
		Digest: sum[:], Method: string(startmethod.Precompiled), Memory: 64 << 20, Output: outputLimit, LogBytes: 1 << 20, HostCalls: 1_000_000, Stdout: 1 << 20, Stderr: 1 << 20,
		Inline: true, Module: uint64(len(wasm)),
	}
	for _, f := range change {
		f(&l)
	}
	b, err := wire.Marshal(l)
	require.NoError(w.t, err)
	w.send(wire.Header{Type: wire.TypeLoad, Slot: slot}, b)
	require.NoError(w.t, w.w.WriteChunks(wire.Header{Type: wire.TypeBlob, Slot: slot}, wasm))
	w.expect(wire.Header{Type: wire.TypeLoaded, Slot: slot})
}

// named sets the function of a slot.
func named(function string) func(*wire.Load) { return func(l *wire.Load) { l.Function = function } }

// granting sets the host functions of a slot.
func granting(names ...string) func(*wire.Load) { return func(l *wire.Load) { l.Host = names } }

func call(id uint64, slot uint32) wire.Header {
	return wire.Header{Type: wire.TypeCall, ID: id, Slot: slot}
}

// callCBOR is a call of a Go function whose types are no bytes.
func callCBOR(id uint64, slot uint32) wire.Header {
	h := call(id, slot)
	h.Code = guestabi.CodecCBOR | guestabi.CodecCBOR<<8
	return h
}

func result(id uint64, slot uint32) wire.Header {
	return wire.Header{Type: wire.TypeResult, ID: id, Slot: slot}
}

// failure reads a FAIL and its payload.
func (w *worker) failure(id uint64, slot, kind uint32) wire.Failure {
	w.t.Helper()
	var f wire.Failure
	b := w.expect(wire.Header{Type: wire.TypeFail, ID: id, Slot: slot, Code: kind})
	require.NoError(w.t, wire.Unmarshal(b, &f))
	return f
}

// answer writes a HOSTRET.
func (w *worker) answer(id uint64, code uint32, payload []byte) {
	w.t.Helper()
	w.send(wire.Header{Type: wire.TypeHostRet, ID: id, Code: code}, payload)
}

// echoes checks that the worker serves calls of slot, an echo.
func (w *worker) echoes(id uint64, slot uint32) {
	w.t.Helper()
	w.send(call(id, slot), []byte("alive"))
	require.Equal(w.t, "alive", string(w.expect(result(id, slot))))
}

// stops checks that the worker exits when it is asked to.
func (w *worker) stops() {
	w.t.Helper()
	w.Stop()
	exit := w.exit()
	require.Zero(w.t, exit.Signal, "%+v", exit)
	require.Zero(w.t, exit.Code, "%+v", exit)
}

// fails checks that the worker has exited because of what its host did.
func (w *worker) fails(why string) {
	w.t.Helper()
	exit := w.exit()
	require.Equal(w.t, 2, exit.Code, "%+v", exit)
	require.Contains(w.t, exit.Stderr, "sandpool worker: ")
	require.Contains(w.t, exit.Stderr, why)
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := cborcodec.Enc().Marshal(v)
	require.NoError(t, err)
	return b
}
