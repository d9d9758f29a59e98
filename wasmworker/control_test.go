package wasmworker_test

import (
	"bytes"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/wasmworker"
)

// logging is a guest that says so when it has begun, waits for the host to have
// read that and then does the rest.
func logging(rest *guesttest.Code) []byte {
	t := guesttest.NewTiny()
	body := new(guesttest.Code).I32(0).Append(t.Text("begun")).Call(t.Log).Append(rest)
	return t.Finish("f", [2]uint32{1, 1}, nil, body)
}

// returning returns 0, spinning never.
func returning() *guesttest.Code { return new(guesttest.Code).I32(0) }
func spinning() *guesttest.Code  { return new(guesttest.Code).Loop().Br(0).End().Unreachable() }

// begun waits until the call of a logging guest is running.
func (w *worker) begun(id uint64) {
	w.t.Helper()
	require.Equal(w.t, "begun", string(w.expect(wire.Header{Type: wire.TypeHostCall, ID: id, Slot: wire.HostLog})))
}

func revoke(from uint64, n uint32) []byte {
	return wire.Header{Type: wire.TypeRevoke, ID: from, Code: n}.AppendTo(nil)
}

func (w *worker) revoke(from uint64, n uint32) {
	w.t.Helper()
	require.NoError(w.t, w.Control(revoke(from, n)))
}

func revoked(first uint64, n uint32) wire.Header {
	return wire.Header{Type: wire.TypeRevoked, ID: first, Code: n}
}

func TestRevoke_whileGuestSpins(t *testing.T) {
	t.Parallel()
	w := startWorker(t, "")
	w.load(1, logging(spinning()), named("f"))
	w.load(2, guesttest.TinyEcho(), named("echo"))
	w.send(call(1, 1), nil)
	w.begun(1)
	w.answer(1, 0, nil)
	for id := uint64(2); id <= 9; id++ {
		w.w.Append(call(id, 2), []byte("input"))
	}
	require.NoError(t, w.w.Flush())
	for _, tc := range []struct {
		from  uint64
		n     uint32
		first uint64
		count uint32
	}{
		{1, 1, 2, 0}, // it runs
		{8, 2, 8, 2},
		{1, 3, 2, 2},           // the others have not begun
		{4, 1, 4, 1},           // one of several
		{100, 5, 100, 5},       // not here yet
		{500, 1024, 500, 1024}, // as many as may be
	} {
		w.revoke(tc.from, tc.n)
		w.expect(revoked(tc.first, tc.count))
	}
	w.stops()
}

// TestRevoke_dropped: what was dropped is neither run nor answered, wherever it was.
func TestRevoke_dropped(t *testing.T) {
	t.Parallel()
	w := startWorker(t, "")
	w.load(1, logging(returning()), named("f"))
	w.load(2, guesttest.TinyEcho(), named("echo"))
	w.load(3, guesttest.TinyTrap(), named("trap"))

	w.revoke(2, 2) // of calls that are still to come
	w.expect(revoked(2, 2))
	w.echoes(1, 2)
	w.send(call(2, 3), []byte("small"))
	w.send(call(3, 3), make([]byte, 300<<10))
	w.echoes(4, 2)

	w.send(call(5, 1), nil)
	w.begun(5)
	for id := uint64(6); id <= 9; id++ {
		w.send(call(id, 2), []byte{byte(id)})
	}
	w.revoke(5, 3)
	w.expect(revoked(6, 2))
	w.revoke(9, 1)
	w.expect(revoked(9, 1))
	w.answer(5, 0, nil)
	w.expect(result(5, 1))
	require.Equal(t, []byte{8}, w.expect(result(8, 2)))
	w.echoes(10, 2)
	w.revoke(5, 4)
	w.expect(revoked(11, 0))
	w.revoke(5, 10)
	w.expect(revoked(11, 4))
	w.stops()
}

// TestRevoke_interleaved: answers and revocations come from two goroutines.
func TestRevoke_interleaved(t *testing.T) {
	t.Parallel()
	w := startWorker(t, "")
	w.load(1, guesttest.TinyEcho(), named("echo"))
	const calls = 300
	input := bytes.Repeat([]byte("x"), 40<<10) // answered in several writes
	var wg sync.WaitGroup
	wg.Go(func() {
		for id := uint64(1); id <= calls; id++ {
			if err := w.w.Write(call(id, 1), input); err != nil {
				t.Error(err)
				return
			}
		}
	})
	outstanding := false
	for results := 0; results < calls || outstanding; {
		h, payload := w.receive()
		switch h.Type {
		case wire.TypeRevoked:
			outstanding = false
		case wire.TypeResult:
			results++
			require.True(t, bytes.Equal(input, payload))
			if !outstanding {
				outstanding = true
				w.revoke(1, 1)
			}
		default:
			t.Fatal(h)
		}
	}
	wg.Wait()
	w.stops()
}

func TestControl_malformed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		frame []byte
		why   string
	}{
		"garbage":       {bytes.Repeat([]byte("garbage."), 4), "control pipe: peer speaks protocol version 97"},
		"version":       {append([]byte{0, 0, 0, 0, 9, 7}, make([]byte, 26)...), "control pipe: peer speaks protocol version 9"},
		"a call":        {call(1, 1).AppendTo(nil), "control pipe: unexpected CALL frame"},
		"collect":       {wire.Header{Type: wire.TypeCollect}.AppendTo(nil), "control pipe: unexpected COLLECT frame"},
		"payload":       {wire.Header{Type: wire.TypeRevoke, ID: 1, Code: 1, Length: 1}.AppendTo(nil), "unexpected REVOKE frame of 1 bytes"},
		"cut":           {revoke(1, 1)[:31], "control pipe: unexpected EOF"},
		"one byte":      {[]byte{0}, "control pipe: unexpected EOF"},
		"no calls":      {revoke(1, 0), "control pipe: revocation of 0 calls from 1 on"},
		"call 0":        {revoke(0, 1), "control pipe: revocation of 1 calls from 0 on"},
		"many calls":    {revoke(1, 1025), "control pipe: revocation of 1025 calls"},
		"all calls":     {revoke(1, math.MaxUint32), "control pipe: revocation of 4294967295 calls"},
		"beyond all":    {revoke(math.MaxUint64, 2), "control pipe: revocation of 2 calls from 18446744073709551615 on"},
		"the last call": {append(revoke(math.MaxUint64, 1), 1), "control pipe: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := startWorker(t, "")
			require.NoError(t, w.Control(tc.frame))
			if strings.HasSuffix(tc.why, "EOF") {
				w.Stop()
			}
			w.fails(tc.why)
		})
	}
}

func TestControl_malformedWhileGuestSpins(t *testing.T) {
	t.Parallel()
	w := startWorker(t, "")
	w.load(1, logging(spinning()), named("f"))
	w.send(call(1, 1), nil)
	w.begun(1)
	w.answer(1, 0, nil)
	require.NoError(t, w.Control(revoke(0, 0)))
	w.fails("control pipe: revocation of 0 calls")
}

func TestRevoke_endless(t *testing.T) {
	t.Parallel()
	w := startWorker(t, "")
	for i := range uint64(1 << 10) {
		w.revoke(2*i+2, 1)
		w.expect(revoked(2*i+2, 1))
	}
	w.revoke(1<<20, 1)
	w.fails("too many revocations of calls that never came")
}

func TestLedger(t *testing.T) {
	t.Parallel()
	var l wasmworker.Ledger
	drop := func(from uint64, n uint32, first uint64, count uint32) {
		t.Helper()
		f, c, err := l.Revoke(from, n)
		require.NoError(t, err)
		require.Equal(t, []any{first, count}, []any{f, c})
	}
	drop(3, 2, 3, 2)
	drop(7, 1, 7, 1)
	for id := uint64(1); id <= 10; id++ {
		require.Equal(t, id != 3 && id != 4 && id != 7, l.Take(id), id)
	}
	require.Zero(t, l.Spans(), "nothing is kept of calls that have come")
	drop(10, 1, 11, 0)
	drop(1, 10, 11, 0)
	drop(9, 3, 11, 1)
	require.False(t, l.Take(11))
	require.True(t, l.Take(20), "numbers may be left out")
	drop(15, 10, 21, 4)
	require.True(t, l.Take(25))
	require.Zero(t, l.Spans())
	drop(math.MaxUint64, 1, math.MaxUint64, 1)
	require.False(t, l.Take(math.MaxUint64))
	drop(math.MaxUint64-1, 2, 0, 0)
}

// TestLedger_concurrent: each call is either run or counted as dropped.
func TestLedger_concurrent(t *testing.T) {
	t.Parallel()
	const calls = 100_000
	var l wasmworker.Ledger
	dropped := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		for from := uint64(1); from < calls; from += 10 {
			_, n, err := l.Revoke(from, 10)
			if err != nil {
				continue // the other side is far behind
			}
			dropped += int(n)
		}
	})
	run := 0
	for id := uint64(1); id <= calls; id++ {
		if l.Take(id) {
			run++
		}
	}
	wg.Wait()
	require.Equal(t, calls, run+dropped)
}
