package executor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/sandpool/sandpool/internal/ring"
	"github.com/sandpool/sandpool/internal/wire"
)

// Of the arena's memory.
const (
	arenaKept = 1 << 20     // bytes that an idle worker keeps of it
	arenaIdle = time.Second // after which it gives back the rest
)

// TransportEnv is the environment variable that has workers use pipes alone when it is
// "pipe", where they would share memory with their host.
const TransportEnv = "SANDPOOL_TRANSPORT"

// openRing gives a new worker shared memory for its frames. Where there is none, they
// travel through its pipes.
func (c *core) openRing(cn *conn) {
	if !ring.Supported() || !cn.p.SendsBlobs() || cn.inline || os.Getenv(TransportEnv) == "pipe" {
		return
	}
	r, err := ring.New(min(CPUCount(), runtime.GOMAXPROCS(0)))
	if err == nil {
		err = cn.p.SendFile(r.File())
		if err != nil {
			_ = r.Close()
		}
	}
	if err != nil {
		c.log.Warn("worker has no shared memory: its frames travel through pipes", "pid", cn.p.PID, "error", err)
		return
	}
	cn.shared, cn.hungUp = r, make(chan struct{})
	go func() { // until the process ends, which conn.reap waits for
		<-cn.p.Exited()
		r.Hangup()
		close(cn.hungUp)
	}()
}

// closeRing unmaps the memory; the process has been reaped.
func (cn *conn) closeRing() {
	if cn.shared == nil {
		return
	}
	<-cn.hungUp
	_ = cn.shared.Close()
	cn.shared, cn.ring = nil, nil
}

// writeCall writes a CALL at once. A large input goes through the arena, unless the worker
// may still be reading there what another call was given.
func (cn *conn) writeCall(f callFrame) error {
	n := len(f.input)
	if cn.ring == nil || f.ahead || n < wire.ArenaFrom || n > ring.WindowSize && f.Flags&(wire.FlagStdin|wire.FlagCommand) != 0 {
		return cn.w.Write(f.Header, f.input)
	}
	return cn.show(f.Header, cn.ring.Input, f.input)
}

// show writes a frame whose payload is in the arena, and has its window show the beginning. The
// worker reads it while we write.
func (cn *conn) show(h wire.Header, in *ring.Window, payload []byte) error {
	h.Flags |= wire.FlagArena
	first := in.Put(payload)
	var b [wire.ArenaPayload]byte
	if err := cn.w.Write(h, binary.LittleEndian.AppendUint64(b[:0], uint64(len(payload)))); err != nil {
		return err
	}
	in.Add(payload[first:min(len(payload), ring.WindowSize)])
	return nil
}

// output reads the payload of an OUTPUT or a RESULT behind what has come before. An OUTPUT is in
// the arena and large; one that is all there is gets its memory at once, before it has come: no
// more than the call's limit.
func (cn *conn) output(h wire.Header, before []byte) ([]byte, error) {
	if h.Type == wire.TypeOutput {
		if h.Flags&wire.FlagArena == 0 {
			return nil, fmt.Errorf("OUTPUT of %d bytes is not in the arena", h.Length)
		}
		if before == nil {
			return cn.r.Payload(make([]byte, h.Length))
		}
	}
	if before == nil {
		return cn.r.Payload(nil)
	}
	at := len(before)
	b := slices.Grow(before, int(h.Length))[:at+int(h.Length)]
	_, err := cn.r.Payload(b[at:])
	return b, err
}

// showMore answers a HOSTCALL that asks for another piece of what is longer than its window.
func (w *worker) showMore(cl *call, h wire.Header, r *reply) error {
	all, stopped, err := w.showable(cl)
	if err != nil {
		return err
	}
	answer := wire.Header{Type: wire.TypeHostRet, ID: h.ID}
	if stopped {
		answer.Code = wire.HostStopped
		return w.returnFromHost(answer, nil)
	}
	if w.conn.ring == nil {
		return errors.New("worker wants to be shown something, and has no shared memory")
	}
	in, what := w.conn.ring.Input, wire.ShowInput
	if h.Code == wire.ShowAnswer {
		in, what, all = w.conn.ring.Answer, wire.ShowAnswer, r.answer
	}
	if h.Length > 0 || h.Time < 0 || h.Time >= int64(len(all)) {
		return fmt.Errorf("worker wants to be shown %d bytes from byte %d on", len(all), h.Time)
	}
	piece := all[h.Time:min(int64(len(all)), h.Time+ring.WindowSize)]
	if r.shown[what] += len(piece); r.shown[what] > 2*len(all) { // once as it reads on, once as a whole
		return fmt.Errorf("worker wants to be shown more than twice the %d bytes that there are", len(all))
	}
	first := in.Put(piece)
	if err := w.returnFromHost(answer, nil); err != nil {
		return err
	}
	in.Add(piece[first:])
	return nil
}

// showable returns the input of a call that runs, or that it is to end.
func (w *worker) showable(cl *call) (input []byte, stopped bool, err error) {
	w.core.update(func() {
		if cl.state == Done && !w.stopping {
			w.core.stopLocked(w) // it has begun what nobody waits for
		}
		if stopped, input = w.stopping, cl.input; w.condemned {
			err = errCondemned
		}
	})
	return input, stopped, err
}

// idle returns what fires when a worker has been idle for long enough to give back the
// memory of its arena, or nil when there is little.
func (cn *conn) idle() <-chan time.Time {
	if cn.ring == nil || cn.ring.Used() <= arenaKept {
		return nil
	}
	return time.After(arenaIdle)
}

// release gives that memory back.
func (cn *conn) release() {
	if err := cn.ring.Release(); err != nil {
		cn.p.Kill() // it cannot fail; a worker that fills memory for good is not kept
	}
}
