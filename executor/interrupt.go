package executor

import (
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/sandpool/sandpool/internal/wasmbin"
	"github.com/sandpool/sandpool/internal/wire"
)

// An Interrupt is how a call is ended early.
type Interrupt int

const (
	// Flag has modules rewritten so that their code looks at a flag in loops and where
	// functions are entered. Most code takes up to a fifth longer, code that does nothing but
	// go round small loops or call small functions up to two thirds (make bench, make bench-limits). The worker ends the call by itself and
	// serves on. One that does not is killed a quarter of a second later. It is the zero value.
	Flag Interrupt = iota
	// KillOnly runs code as it is. The worker is killed and replaced. Limits on processor time
	// and stack do not count; code that is to count fuel is rewritten all the same.
	KillOnly
)

// String returns the name.
func (i Interrupt) String() string {
	switch i {
	case Flag:
		return "flag"
	case KillOnly:
		return "kill only"
	default:
		return "interrupt " + strconv.Itoa(int(i))
	}
}

// mode is how the code of calls is instrumented that do not count fuel.
func (o *Options) mode() wasmbin.Mode {
	if o.Interrupt == KillOnly {
		return wasmbin.Plain
	}
	return wasmbin.Flag
}

const (
	// lateAfter is how long a worker may take to end a call whose time is up before the
	// host says so in its place.
	lateAfter = 5 * time.Millisecond
	// stopGrace is how long it may take before it is killed.
	stopGrace = 250 * time.Millisecond
)

var (
	// errStopped is a worker's answer to a STOP: its call is done already.
	errStopped = errors.New("stopped")
	// errUnwanted reports that a call was done before it has been sent.
	errUnwanted = errors.New("nobody waits for it")
	// errReplaced reports that a call was taken apart before it has been sent.
	errReplaced = errors.New("taken apart")
)

// moreLimits are those of a slot that few calls differ in.
type moreLimits struct {
	cpu                         time.Duration
	stack, fuel, stdout, stderr int64

	fileSize int64 // where there are directories
}

func moreLimitsOf(t *target) moreLimits {
	l := t.limits
	m := moreLimits{cpu: l.CPU, stack: l.Stack, fuel: l.Fuel, stdout: l.Stdout, stderr: l.Stderr}
	if t.world.dirs != "" {
		m.fileSize = l.FileSize
	}
	return m
}

// canStop notes whether a call's code can be ended.
func (w *worker) canStop(cl *call, p *program) {
	w.core.mu.Lock()
	defer w.core.mu.Unlock()
	w.stops = p.stops
	if cl.state != Done {
		cl.usage.KillOnly = p.killOnly
	}
}

// stopLocked has a worker end the call that it runs, for which nobody waits any more, or
// kills it where that cannot be. What it was handed ahead stays with it.
func (c *core) stopLocked(w *worker) {
	switch {
	case w.condemned || w.stopping:
		return
	case c.phase == closed || len(w.held) == 0 || !w.stoppable && w.held[0].seq != 0:
		c.condemnLocked(w)
		return
	}
	w.stopping = true
	w.armLocked(c.stopGrace, func(time.Duration) error { return errStopped })
	w.poke() // its owner may be waiting for a host function
	if w.held[0].seq == 0 {
		return // its owner finds that it need not be sent
	}
	h := wire.Header{Type: wire.TypeStop, ID: w.held[0].seq}
	c.after = append(c.after, func() {
		// A failure is the process's end, of which the owner hears by itself.
		_ = w.conn.p.Control(h.AppendTo(nil))
	})
}

// isStopping reports whether the worker has been told to end its first call.
func (w *worker) isStopping() bool {
	w.core.mu.Lock()
	defer w.core.mu.Unlock()
	return w.stopping
}

// usage reads the payload of a USAGE.
func (cn *conn) usage(u *Usage) error {
	b, err := cn.r.Payload(nil)
	if err != nil {
		return err
	}
	if len(b) != wire.UsageSize {
		return errors.New("worker reports usage in a wrong form")
	}
	u.CPU, u.Fuel = usageOf(b)
	return nil
}

func usageOf(b []byte) (cpu time.Duration, fuel int64) {
	le := binary.LittleEndian
	return time.Duration(clamp(le.Uint64(b))), clamp(le.Uint64(b[8:]))
}
