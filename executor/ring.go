package executor

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
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
	if cn.ring == nil || f.ahead || n < wire.ArenaFrom || n > ring.ArenaSize {
		return cn.w.Write(f.Header, f.input)
	}
	cn.ring.Put(f.input)
	f.Flags |= wire.FlagArena
	var b [wire.ArenaPayload]byte
	return cn.w.Write(f.Header, binary.LittleEndian.AppendUint64(b[:0], uint64(n)))
}

// result reads the payload of a RESULT, of most bytes at most.
func (cn *conn) result(h wire.Header, most uint32) ([]byte, error) {
	if h.Flags&wire.FlagArena == 0 {
		return cn.r.Payload(nil)
	}
	if cn.ring == nil || h.Length != wire.ArenaPayload {
		return nil, fmt.Errorf("RESULT of %d bytes is said to be in an arena", h.Length)
	}
	var b [wire.ArenaPayload]byte
	if _, err := cn.r.Payload(b[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(b[:])
	if n > min(uint64(most), ring.ArenaSize) {
		return nil, fmt.Errorf("RESULT is said to have %d bytes in the arena, %d are the most", n, min(uint64(most), ring.ArenaSize))
	}
	return cn.ring.Take(int(n)), nil
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
