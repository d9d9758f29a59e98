package executor

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/sandpool/sandpool/internal/engine"
	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/internal/ring"
	"github.com/sandpool/sandpool/internal/shm"
	"github.com/sandpool/sandpool/internal/wire"
)

// Bounds of what a process may take before it serves.
const (
	handshakeTimeout = 30 * time.Second // from launch to READY
	loadTimeout      = 60 * time.Second // a worker's LOAD: the compiled code is there, or compiling is what takes long
	exitTimeout      = 5 * time.Second  // from the control pipe's end to the process's
)

// baseData is how much private memory a process may add besides linear memory,
// input and output: code and tables of the modules it holds, garbage, and up to
// 128 MiB of instances that it keeps between calls.
const baseData = 512 << 20

// A conn is a started process and the frames to and from it. It belongs to one
// goroutine.
type conn struct {
	p     *proc.Process
	r     *wire.Reader
	w     *wire.Writer
	ready wire.Ready

	ring   *ring.Ring    // nil for pipes alone
	shared *ring.Ring    // the same, or one that the worker does not use; to be closed
	hungUp chan struct{} // closed when that knows that the process is gone

	inline bool // blobs travel through the pipe even where descriptors could
}

// connect starts a process for hello.Role, named after the executor and what it is
// for, and shakes hands with it. The process is known to the core from its start on and must be reaped with end or
// dismiss.
func (c *core) connect(name string, hello wire.Hello) (*conn, error) {
	full := "sandpool-" + name
	if c.opts.Name != "" {
		full = "sandpool-" + c.opts.Name + "-" + name
	}
	env := append(slices.Clone(c.opts.Env), "GOMAXPROCS="+strconv.Itoa(c.opts.GOMAXPROCS))
	p, conf, err := c.launch(proc.Spec{Path: c.opts.WorkerPath, Name: full, Env: env}, &hello)
	if err != nil {
		return nil, err
	}
	c.adopt(p)
	cn := &conn{p: p, r: wire.NewReader(p.Replies), w: wire.NewWriter(p.Requests), inline: c.inline}
	timer := time.AfterFunc(handshakeTimeout, p.Kill)
	if hello.Role == wire.RoleWorker {
		c.openRing(cn)
	}
	err = cn.handshake(hello)
	late := !timer.Stop()
	stage := "handshake"
	if err == nil {
		stage, err = "sandbox", c.judge(cn, conf)
	}
	if err != nil {
		exit := cn.end(c)
		if late {
			err = fmt.Errorf("no answer within %v; the program must call wasmworker.Main first", handshakeTimeout)
		} else if isEnd(err) {
			err = exitReason(exit)
		}
		return nil, &StartError{Stage: stage, Stderr: exit.Stderr, Err: err}
	}
	return cn, nil
}

// end makes sure that the process ends, and reaps it.
func (cn *conn) end(c *core) proc.Exit {
	cn.p.Kill()
	return cn.reap(c)
}

// dismiss asks the process to exit, gives it a while and reaps it.
func (cn *conn) dismiss(c *core) proc.Exit {
	timer := time.AfterFunc(exitTimeout, cn.p.Kill)
	defer timer.Stop()
	cn.p.Stop()
	return cn.reap(c)
}

// reap waits for the process's end.
func (cn *conn) reap(c *core) proc.Exit {
	exit := c.reap(cn.p)
	cn.closeRing()
	return exit
}

func (cn *conn) handshake(hello wire.Hello) error {
	hello.Engine, hello.Ring = engine.Version(), cn.shared != nil
	b, err := wire.Marshal(hello)
	if err != nil {
		return err
	}
	if err := cn.w.Write(wire.Header{Type: wire.TypeHello}, b); err != nil {
		return err
	}
	if _, err := cn.r.Next(wire.Limits{{Type: wire.TypeReady, Max: wire.MaxControl}}); err != nil {
		return err
	}
	if b, err = cn.r.Payload(nil); err != nil {
		return err
	}
	if err := wire.Unmarshal(b, &cn.ready); err != nil {
		return err
	}
	if cn.ready.Engine != engine.Version() {
		return fmt.Errorf("worker has engine %q, this program %s: build both from the same source", cn.ready.Engine, engine.Version())
	}
	if cn.ready.Ring && cn.shared != nil {
		cn.ring = cn.shared
		cn.r, cn.w = wire.NewReader(cn.ring), wire.NewWriter(cn.ring)
		cn.r.UseArena(cn.ring.Output())
	}
	return nil
}

// load sends a LOAD with what goes along, module first. The worker is idle, so
// it reads while we write and neither pipe can fill up on both sides.
func (cn *conn) load(slot uint32, l wire.Load, blobs ...*shm.Blob) error {
	l.Inline = cn.inline || !cn.p.SendsBlobs(blobs...)
	b, err := wire.Marshal(l)
	if err != nil {
		return err
	}
	if !l.Inline {
		if err := cn.p.SendBlobs(blobs...); err != nil {
			return err
		}
		return cn.w.Write(wire.Header{Type: wire.TypeLoad, Slot: slot}, b)
	}
	if err := cn.w.Write(wire.Header{Type: wire.TypeLoad, Slot: slot}, b); err != nil {
		return err
	}
	for _, blob := range blobs {
		data, err := blob.Bytes()
		if err != nil {
			return err
		}
		if err := cn.w.WriteChunks(wire.Header{Type: wire.TypeBlob, Slot: slot}, data); err != nil {
			return err
		}
	}
	return nil
}

// failure reads the payload of a FAIL.
func (cn *conn) failure() (wire.Failure, error) {
	var f wire.Failure
	b, err := cn.r.Payload(nil)
	if err == nil {
		err = wire.Unmarshal(b, &f)
	}
	return f, err
}

// isEnd reports whether err only says that the other side is gone.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// exitReason puts a process's end in words.
func exitReason(e proc.Exit) error {
	if e.Signal != 0 {
		return &killedError{e.SignalName, deathReason(e)}
	}
	return fmt.Errorf("process exited with code %d", e.Code)
}

// A killedError reports a process that a signal ended.
type killedError struct{ signal, reason string }

func (e *killedError) Error() string {
	s := "process was killed by " + e.signal
	if e.reason != "" {
		s += ": " + e.reason
	}
	return s
}
