package wasmworker_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/wire"
)

func hostCall(id uint64, function uint32) wire.Header {
	return wire.Header{Type: wire.TypeHostCall, ID: id, Slot: function}
}

func TestHostCall(t *testing.T) {
	t.Parallel()
	w := startWorker(t, "")
	w.load(1, guesttest.TinyHostCall("lookup"), named("hostcall"), granting("lookup"))
	w.load(2, guesttest.TinyHostCall("third"), named("hostcall"), granting("first", "second", "third"))
	id := uint64(0)
	for _, size := range []int{0, 1, 32 << 10, 32<<10 + 1, 1 << 20} {
		for _, slot := range []uint32{1, 2} {
			id++
			input := bytes.Repeat([]byte{byte(id)}, size)
			w.send(call(id, slot), input)
			function := map[uint32]uint32{1: wire.HostFirst, 2: wire.HostFirst + 2}[slot]
			require.True(t, bytes.Equal(input, w.expect(hostCall(id, function))), "%d bytes", size)
			output := bytes.Repeat([]byte{byte(id + 1)}, 2*size)
			w.answer(id, wire.HostOK, output)
			require.True(t, bytes.Equal(output, w.expect(result(id, slot))), "%d bytes", size)
		}
	}
	w.stops()
}

func TestHostCall_failed(t *testing.T) {
	t.Parallel()
	w := startWorker(t, "")
	w.load(1, guesttest.TinyHostCall("lookup"), named("hostcall"), granting("lookup"))
	for i, text := range []string{"no such key", "", strings.Repeat("x", 10_000)} {
		id := uint64(i + 1)
		w.send(call(id, 1), nil)
		w.expect(hostCall(id, wire.HostFirst))
		w.answer(id, wire.HostFailed, []byte(text))
		f := w.failure(id, 1, wire.KindGuest)
		require.Equal(t, wire.Failure{Guest: guestabi.CodeError, Message: text}, f)
	}
	w.stops()
}

func TestHostCall_notGranted(t *testing.T) {
	t.Parallel()
	w := startWorker(t, "")
	for i, tc := range []struct {
		name    string
		granted []string
		want    string
	}{
		{"lookup", nil, `host function "lookup" is not granted to this function`},
		{"lookup", []string{"look", "lookups", "Lookup"}, `host function "lookup" is not granted to this function`},
		{"", []string{"lookup"}, `host function "" is not granted to this function`},
		{"\x1b[0m\xff", nil, `host function "\x1b[0m\xff" is not granted to this function`},
		{strings.Repeat("n", 128), nil, `host function "nnn`},
		{strings.Repeat("n", 129), []string{strings.Repeat("n", 129)}, "a host function's name has 128 bytes at most, this one 129"},
	} {
		id, slot := uint64(i+1), uint32(i+1)
		w.load(slot, guesttest.TinyHostCall(tc.name), named("hostcall"), granting(tc.granted...))
		w.send(call(id, slot), make([]byte, outputLimit+1)) // not even looked at
		f := w.failure(id, slot, wire.KindGuest)
		require.Contains(t, f.Message, tc.want)
	}
	w.stops()
}

func TestHostCall_limits(t *testing.T) {
	t.Parallel()
	w := startWorker(t, "")
	w.load(1, guesttest.TinyHostCall("f"), named("hostcall"), granting("f"), func(l *wire.Load) { l.Output, l.Memory = 1000, 1<<20 })
	w.send(call(1, 1), make([]byte, 1001))
	require.Equal(t, wire.Failure{Limit: guestabi.LimitOutput, Max: 1000, Used: 1001}, w.failure(1, 1, wire.KindLimit))

	w.send(call(2, 1), make([]byte, 1000))
	require.Len(t, w.expect(hostCall(2, wire.HostFirst)), 1000)
	w.answer(2, wire.HostOK, make([]byte, 1001)) // the guest may have it, but not hand it on
	require.Equal(t, wire.Failure{Limit: guestabi.LimitOutput, Max: 1000, Used: 1001}, w.failure(2, 1, wire.KindLimit))

	w.send(call(3, 1), nil)
	w.expect(hostCall(3, wire.HostFirst))
	w.answer(3, wire.HostOK, make([]byte, 2<<20)) // more than fits the guest's memory
	require.Equal(t, guestabi.LimitMemory, w.failure(3, 1, wire.KindLimit).Limit)
	w.stops()
}

// TestHostCall_bounds: pointers that lie, sizes before any call, reading in parts
// and an answer that does not outlive its call.
func TestHostCall_bounds(t *testing.T) {
	t.Parallel()
	w := startWorker(t, "")
	guest := func(body func(tiny *guesttest.Tiny, h guesttest.Host) *guesttest.Code) []byte {
		tiny := guesttest.NewTiny()
		h := tiny.ImportHost()
		return tiny.Finish("f", [2]uint32{1, 1}, nil, body(tiny, h))
	}
	traps := [][]byte{
		guest(func(tiny *guesttest.Tiny, h guesttest.Host) *guesttest.Code {
			return new(guesttest.Code).I32(-1).I32(2).I32(0).I32(0).Call(h.Call)
		}),
		guest(func(tiny *guesttest.Tiny, h guesttest.Host) *guesttest.Code {
			return new(guesttest.Code).Append(tiny.Text("f")).I32(1).I32(-1).Call(h.Call)
		}),
		guest(func(tiny *guesttest.Tiny, h guesttest.Host) *guesttest.Code {
			return new(guesttest.Code).I32(64<<10 - 1).I32(0).I32(2).Call(h.Read)
		}),
	}
	for i, wasm := range traps {
		id, slot := uint64(i+1), uint32(i+1)
		w.load(slot, wasm, named("f"), granting("f"))
		w.send(call(id, slot), nil)
		f := w.failure(id, slot, wire.KindGuest)
		require.Equal(t, guestabi.CodeTrap, f.Guest)
		require.Contains(t, f.Message, "out of bounds memory access in host_")
	}

	// Writes size() and read(0, -1, 9), calls, writes size() and read(0, 2, 9).
	w.load(9, guest(func(tiny *guesttest.Tiny, h guesttest.Host) *guesttest.Code {
		numbers := func(offset int32) *guesttest.Code {
			return new(guesttest.Code).
				I32(100).Call(h.Size).Store8(0).
				I32(101).I32(0).I32(offset).I32(9).Call(h.Read).Store8(0).
				I32(100).I32(2).Call(tiny.Write)
		}
		return numbers(-1).
			Append(tiny.Text("f")).I32(0).I32(0).Call(h.Call).Drop().
			Append(numbers(2)).I32(0).I32(9).Call(tiny.Write).I32(0)
	}), named("f"), granting("f"))
	for id := uint64(10); id < 12; id++ {
		w.send(call(id, 9), nil)
		w.expect(hostCall(id, wire.HostFirst))
		w.answer(id, wire.HostOK, []byte("answer"))
		require.Equal(t, "\x00\x00\x06\x04swer\x00\x00\x00\x00\x00", string(w.expect(result(id, 9))))
	}
	w.stops()
}

func TestHostCall_loop(t *testing.T) {
	t.Parallel()
	w := startWorker(t, "")
	w.load(1, guesttest.TinyHostLoop("f"), named("hostloop"), granting("f"))
	w.send(call(1, 1), nil)
	for n := range 5000 {
		w.expect(hostCall(1, wire.HostFirst))
		w.answer(1, uint32(n%2), make([]byte, n))
	}
	w.expect(hostCall(1, wire.HostFirst))
	w.revoke(1, 2)
	w.expect(revoked(2, 1))
	w.stops()
}

// TestHostCall_brokenHost: a host that answers anything but what it was asked.
func TestHostCall_brokenHost(t *testing.T) {
	t.Parallel()
	ret := func(id uint64, code uint32) wire.Header {
		return wire.Header{Type: wire.TypeHostRet, ID: id, Code: code}
	}
	for name, tc := range map[string]struct {
		frames []wire.Header
		sizes  int // of their payloads
		why    string
	}{
		"another call":     {[]wire.Header{ret(2, 0)}, 0, "host answered call 2 instead of 1"},
		"unknown code":     {[]wire.Header{ret(1, 3)}, 0, "host answered with code 3"},
		"unload":           {[]wire.Header{{Type: wire.TypeUnload, Slot: 1}}, 0, "unexpected UNLOAD frame"},
		"collect":          {[]wire.Header{{Type: wire.TypeCollect}}, 0, "unexpected COLLECT frame"},
		"revoke":           {[]wire.Header{{Type: wire.TypeRevoke, ID: 2, Code: 1}}, 0, "unexpected REVOKE frame"},
		"a call too large": {[]wire.Header{call(2, 1)}, 64<<10 + 1, "CALL frame of 65537 bytes exceeds 65536"},
		"calls too large":  {[]wire.Header{call(2, 1), call(3, 1)}, 40 << 10, "more than 65536 bytes sent ahead"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := startWorker(t, "")
			w.load(1, guesttest.TinyHostCall("f"), named("hostcall"), granting("f"))
			w.send(call(1, 1), nil)
			w.expect(hostCall(1, wire.HostFirst))
			for _, h := range tc.frames {
				_ = w.w.Write(h, make([]byte, tc.sizes)) // it may be gone by then
			}
			f := w.failure(1, 1, wire.KindInternal)
			require.Contains(t, f.Message, tc.why)
			w.fails(tc.why)
		})
	}
}

func TestLog_brokenHost(t *testing.T) {
	t.Parallel()
	w := startWorker(t, "")
	w.load(1, logging(returning()), named("f"))
	w.send(call(1, 1), nil)
	w.begun(1)
	w.answer(1, 0, []byte("a log line has no answer"))
	w.failure(1, 1, wire.KindInternal)
	w.fails("unexpected HOSTRET frame of 24 bytes")
}

// TestBacklog: calls that come while the host is asked wait for their turn, of
// whatever slot they are.
func TestBacklog(t *testing.T) {
	t.Parallel()
	w := startWorker(t, "")
	w.load(1, guesttest.TinyHostCall("f"), named("hostcall"), granting("f"))
	w.load(2, guesttest.TinyEcho(), named("echo"))
	w.send(call(1, 1), nil)
	w.expect(hostCall(1, wire.HostFirst))
	w.send(call(2, 2), []byte("second"))
	w.send(call(3, 1), []byte("third"))
	w.send(call(4, 2), nil)
	w.answer(1, wire.HostOK, []byte("first"))
	require.Equal(t, "first", string(w.expect(result(1, 1))))
	require.Equal(t, "second", string(w.expect(result(2, 2))))
	require.Equal(t, "third", string(w.expect(hostCall(3, wire.HostFirst))))
	w.send(call(5, 2), []byte("fifth")) // behind one that is waiting
	w.answer(3, wire.HostOK, []byte("answer"))
	w.send(call(6, 2), []byte("sixth"))
	require.Equal(t, "answer", string(w.expect(result(3, 1))))
	require.Empty(t, w.expect(result(4, 2)))
	require.Equal(t, "fifth", string(w.expect(result(5, 2))))
	require.Equal(t, "sixth", string(w.expect(result(6, 2))))
	w.stops()
}

// TestBacklog_bounds fills it twice: what has been served counts no more.
func TestBacklog_bounds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ calls, size int }{
		"frames": {1 << 10, 1},
		"bytes":  {2, 32 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := startWorker(t, "")
			w.load(1, logging(returning()), named("f"))
			w.load(2, guesttest.TinyEcho(), named("echo"))
			id := uint64(0)
			for range 2 {
				id++
				first := id
				w.send(call(id, 1), nil)
				w.begun(id)
				for range tc.calls {
					id++
					w.send(call(id, 2), make([]byte, tc.size))
				}
				w.answer(first, 0, nil)
				w.expect(result(first, 1))
				for next := first + 1; next <= id; next++ {
					require.Len(t, w.expect(result(next, 2)), tc.size)
				}
			}
			w.stops()
		})
	}
	w := startWorker(t, "")
	w.load(1, logging(returning()), named("f"))
	w.send(call(1, 1), nil)
	w.begun(1)
	for id := range uint64(1<<10 + 1) {
		w.send(call(id+2, 1), nil) // the last one is what it ends over
	}
	require.Equal(t, "more than 1024 calls sent ahead", w.failure(1, 1, wire.KindInternal).Message)
	w.fails("more than 1024 calls sent ahead")
}

func TestCollect(t *testing.T) {
	t.Parallel()
	w := startWorker(t, "")
	w.load(1, guesttest.TinyEcho(), named("echo"))
	for id := uint64(1); id < 4; id++ {
		w.echoes(id, 1)
		w.send(wire.Header{Type: wire.TypeCollect}, nil)
		w.expect(wire.Header{Type: wire.TypeCollected})
	}
	w.send(wire.Header{Type: wire.TypeCollect}, []byte("payload"))
	w.fails(fmt.Sprintf("unexpected %s frame of 7 bytes", wire.TypeCollect))
}

// TestHostCall_limit: nothing beyond the limit is sent, and the next call has all of
// it again.
func TestHostCall_limit(t *testing.T) {
	t.Parallel()
	w := startWorker(t, "")
	few := func(l *wire.Load) { l.HostCalls = 3 }
	w.load(1, guesttest.TinyHostLoop("lookup"), named("hostloop"), granting("lookup"), few)
	none := func(l *wire.Load) { l.HostCalls = 0 }
	w.load(2, guesttest.TinyHostCall("lookup"), named("hostcall"), granting("lookup"), none)
	for id := range uint64(2) {
		w.send(call(id+1, 1), nil)
		for range 3 {
			w.expect(hostCall(id+1, wire.HostFirst))
			w.answer(id+1, wire.HostOK, nil)
		}
		f := w.failure(id+1, 1, wire.KindLimit)
		require.Equal(t, wire.Failure{Limit: guestabi.LimitHostCalls, Max: 3, Used: 4}, f)
	}
	w.send(call(3, 2), nil)
	require.Equal(t, wire.Failure{Limit: guestabi.LimitHostCalls, Max: 0, Used: 1}, w.failure(3, 2, wire.KindLimit))
	w.stops()
}
