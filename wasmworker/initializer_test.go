package wasmworker_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/cborcodec"
	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// methods are all start methods.
var methods = []startmethod.Method{startmethod.Fresh, startmethod.Precompiled}

func started(m startmethod.Method) func(*wire.Load) {
	return func(l *wire.Load) { l.Method = string(m) }
}

// initialized gives a slot an initializer with CBOR in and out.
func initialized(t *testing.T, function string, in any) func(*wire.Load) {
	t.Helper()
	b := encode(t, in)
	return func(l *wire.Load) {
		l.Init, l.InitInput, l.InitCodec = function, b, guestabi.CodecCBOR|guestabi.CodecCBOR<<8
	}
}

// setup is what the fixture's setupvalue returns.
type setup struct {
	Value string
	Count int
}

// hostInput is the input of the fixture's hostcall.
type hostInput struct {
	Name  string
	Input []byte
	Times int
}

type empty = struct{}

func decode(t *testing.T, b []byte, v any) {
	t.Helper()
	require.NoError(t, cborcodec.Dec().Unmarshal(b, v))
}

func TestInitializer(t *testing.T) {
	t.Parallel()
	for _, method := range methods {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			w, fixture := fixtureWorker(t)
			w.load(1, fixture, named("setupvalue"), started(method), initialized(t, "setup", "configured"))
			for id := uint64(1); id <= 2; id++ {
				w.send(callCBOR(id, 1), encode(t, empty{}))
				var got setup
				decode(t, w.expect(result(id, 1)), &got)
				require.Equal(t, setup{"configured", 1}, got, "once in each instance")
			}
			w.load(2, fixture, named("setupvalue"), started(method))
			w.send(callCBOR(3, 2), encode(t, empty{}))
			var got setup
			decode(t, w.expect(result(3, 2)), &got)
			require.Zero(t, got, "another slot has none")

			w.load(3, fixture, named("fail"), started(method), initialized(t, "setup", "configured"))
			w.send(callCBOR(4, 3), encode(t, "boo"))
			require.Equal(t, wire.Failure{Guest: guestabi.CodeError, Message: "boo"}, w.failure(4, 3, wire.KindGuest), "not the initializer's")

			w.load(4, fixture, named("echo"), started(method), initialized(t, "setup", "configured"))
			w.echoes(5, 4)
			describe := call(6, 4)
			describe.Flags = wire.FlagDescribe
			w.send(describe, nil)
			require.Contains(t, string(w.expect(result(6, 4))), `"setupvalue"`)

			w.load(5, fixture, named("setupvalue"), started(method), initialized(t, "setupfail", "x"))
			w.send(callCBOR(7, 5), encode(t, empty{}))
			want := wire.Failure{Guest: guestabi.CodeError, Message: "boo: x", Init: true}
			require.Equal(t, want, w.failure(7, 5, wire.KindGuest))
			w.echoes(8, 4)
			w.stops()
		})
	}
}

func TestInitializer_failures(t *testing.T) {
	t.Parallel()
	w, fixture := fixtureWorker(t)
	w.load(1, fixture, named("echo"))
	for i, tc := range []struct {
		function string
		in       any
		kind     uint32
		want     wire.Failure
	}{
		{"setupfail", "x", wire.KindGuest, wire.Failure{Guest: guestabi.CodeError, Message: "boo: x"}},
		{"setuppanic", "oops", wire.KindGuest, wire.Failure{Guest: guestabi.CodePanic, Message: "oops"}},
		{"setup", 7, wire.KindGuest, wire.Failure{Guest: guestabi.CodeInput, Message: "decode input of setup as string with cbor: cbor: cannot unmarshal positive integer into Go value of type string"}},
		{"panicgo", "deadly", wire.KindGuest, wire.Failure{Guest: guestabi.CodeTrap, Message: "unreachable"}},
		{"exit", 3, wire.KindGuest, wire.Failure{Guest: guestabi.CodeExit, Exit: 3, Message: "exit status 3"}},
		{"grow", empty{}, wire.KindLimit, wire.Failure{Limit: guestabi.LimitMemory, Max: 64 << 20}},
		{"biglog", 60_000, wire.KindLimit, wire.Failure{Limit: guestabi.LimitLog, Max: 1000, Used: 60_016}},
		{"flood", 10_000, wire.KindLimit, wire.Failure{Limit: guestabi.LimitStdout, Max: 1000}},
		{"missing", empty{}, wire.KindModule, wire.Failure{Module: uint32(serialize.MissingExport), Name: "missing"}},
		{"hostcall", hostInput{"f", nil, 1}, wire.KindGuest, wire.Failure{Guest: guestabi.CodeError, Message: `host function "f" is not granted to this function`}},
	} {
		id, slot := uint64(2*i+1), uint32(i+2)
		w.load(slot, fixture, named("echo"), initialized(t, tc.function, tc.in), func(l *wire.Load) {
			switch tc.function {
			case "hostcall":
				l.InitCodec = guestabi.CodecCBOR
			case "biglog", "flood":
				l.LogBytes, l.Stdout = 1000, 1000
			}
		})
		w.send(call(id, slot), []byte("not reached"))
		f := w.failAfterLogs(id, slot, tc.kind)
		require.True(t, f.Init, "%s: %+v", tc.function, f)
		require.Contains(t, f.Message, tc.want.Message, tc.function)
		f.Message, f.Stack, f.Stderr, tc.want.Message, tc.want.Init = "", "", "", "", true
		if tc.want.Used == 0 {
			f.Used = 0
		}
		require.Equal(t, tc.want, f, tc.function)
		w.echoes(id+1, 1)
	}
	w.stops()
}

// failAfterLogs is failure for a guest that may log.
func (w *worker) failAfterLogs(id uint64, slot, kind uint32) wire.Failure {
	w.t.Helper()
	for {
		h, payload := w.receive()
		if h.Type == wire.TypeHostCall && h.Slot == wire.HostLog {
			require.Equal(w.t, id, h.ID)
			w.answer(id, 0, nil)
			continue
		}
		require.Equal(w.t, wire.Header{Length: h.Length, Type: wire.TypeFail, ID: id, Slot: slot, Code: kind}, h)
		var f wire.Failure
		require.NoError(w.t, wire.Unmarshal(payload, &f))
		return f
	}
}

// TestInitializer_prints: a line without its end is not joined with the call's.
func TestInitializer_prints(t *testing.T) {
	t.Parallel()
	w := startWorker(t, "")
	tiny := guesttest.NewTiny()
	write := tiny.Import("wasi_snapshot_preview1", "fd_write",
		guesttest.Sig([]guesttest.ValueType{guesttest.I32, guesttest.I32, guesttest.I32, guesttest.I32}, guesttest.I32))
	// read(8, 0, size); an iovec at 0: 8, size; fd_write(1, 0, 1, 100)
	body := new(guesttest.Code).I32(8).I32(0).Get(1).Call(tiny.Read).Drop().
		I32(0).I32(8).Store(0).I32(4).Get(1).Store(0).
		I32(1).I32(0).I32(1).I32(100).Call(write).Drop().I32(0)
	w.load(1, tiny.Finish("print", [2]uint32{1, 1}, nil, body), named("print"), func(l *wire.Load) {
		l.Init, l.InitInput, l.Stdout = "print", []byte("from the initializer"), 70
	})
	w.send(call(1, 1), []byte("from the call"))
	for _, want := range []string{"from the initializer", "from the call"} {
		header := hostCall(1, wire.HostLog)
		header.Flags = wire.StreamStdout
		require.Equal(t, want, string(w.expect(header)))
		w.answer(1, 0, nil)
	}
	w.expect(result(1, 1))

	w.load(2, guesttest.TinyEcho(), named("echo")) // the log limit is for both together
	w.send(call(2, 1), []byte("from the call, and more than is left"))
	header := hostCall(2, wire.HostLog)
	header.Flags = wire.StreamStdout
	w.expect(header)
	w.answer(2, 0, nil)
	f := w.failure(2, 1, wire.KindLimit)
	require.Equal(t, guestabi.LimitStdout, f.Limit)
	require.False(t, f.Init, "the call's part was too much")
	w.echoes(3, 2)
	w.stops()
}

func TestInitializer_rawInput(t *testing.T) {
	t.Parallel()
	w := startWorker(t, "")
	input := bytes.Repeat([]byte("x"), 1<<20)
	with := func(output uint64) func(*wire.Load) {
		return func(l *wire.Load) { l.Init, l.InitInput, l.Output = "echo", input, output }
	}
	w.load(1, guesttest.TinyEcho(), named("echo"), with(1<<20))
	w.echoes(1, 1) // its own output, and none of the initializer's

	w.load(2, guesttest.TinyEcho(), named("echo"), with(1<<20-1))
	w.send(call(2, 2), nil)
	f := w.failure(2, 2, wire.KindLimit)
	require.Equal(t, wire.Failure{Limit: guestabi.LimitOutput, Max: 1<<20 - 1, Used: 1 << 20, Init: true}, f)

	w.load(3, guesttest.TinyEcho(), named("echo"), with(1<<20), func(l *wire.Load) { l.InitCodec = guestabi.CodecCBOR })
	w.send(call(3, 3), nil)
	f = w.failure(3, 3, wire.KindGuest)
	require.Equal(t, wire.Failure{Guest: guestabi.CodeInput, Message: "echo takes and returns raw bytes", Init: true}, f)

	w.load(4, guesttest.TinySilentFail(), named("silentfail"), func(l *wire.Load) { l.Init = "silentfail" })
	w.send(call(4, 4), nil)
	require.True(t, w.failure(4, 4, wire.KindGuest).Init)
	w.stops()
}

// TestInitializer_host: an initializer logs and calls the host as the call does.
func TestInitializer_host(t *testing.T) {
	t.Parallel()
	w, fixture := fixtureWorker(t)
	hostCallInit := func(l *wire.Load) {
		l.Init, l.InitInput, l.InitCodec = "hostcall", encode(t, hostInput{"lookup", []byte("init"), 1}), guestabi.CodecCBOR
		l.LogBytes = 100
	}
	w.load(1, fixture, named("hostcall"), granting("other", "lookup"), hostCallInit)
	h := call(1, 1)
	h.Code = guestabi.CodecCBOR
	w.send(h, encode(t, hostInput{"other", []byte("call"), 2}))
	require.Equal(t, "init", string(w.expect(hostCall(1, wire.HostFirst+1))))
	w.answer(1, wire.HostOK, []byte("for the initializer"))
	for range 2 {
		require.Equal(t, "call", string(w.expect(hostCall(1, wire.HostFirst))))
		w.answer(1, wire.HostOK, []byte("for the call"))
	}
	require.Equal(t, "for the call", string(w.expect(result(1, 1))))

	type line struct {
		Level int
		Text  string
	}
	w.load(2, fixture, named("log"), initialized(t, "log", line{4, "from the initializer"}))
	w.send(callCBOR(2, 2), encode(t, line{0, "from the call"}))
	for _, want := range []line{{4, "from the initializer"}, {0, "from the call"}} {
		header := hostCall(2, wire.HostLog)
		header.Code = uint32(want.Level)
		require.Equal(t, want.Text, string(w.expect(header)))
		w.answer(2, 0, nil)
	}
	w.expect(result(2, 2))
	w.stops()
}
