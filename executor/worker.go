package executor

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/internal/quote"
	"github.com/sandpool/sandpool/internal/wire"
)

// A worker is one worker process and the goroutine that owns it: only that
// goroutine talks to the process, in blocking writes and reads.
type worker struct {
	core   *core
	number int
	next   chan *call // holds 1: a call for an idle worker; closed to send it home

	// Of the owner goroutine.
	conn    *conn
	slots   slotTable
	cold    bool      // the current call had its module loaded
	yielded time.Time // when the goroutine last let others run

	// Guarded by core.mu.
	process   *proc.Process // nil until it has been started
	pid       int
	ready     bool // the handshake is done
	condemned bool // being killed: gets no call any more
	retired   bool // next is closed
	call      *call
	deadline  time.Time                      // of what it does for call; zero for none
	late      func(over time.Duration) error // the call's error when it passes
	timer     *time.Timer                    // calls expire; nil until first needed
}

// yieldEvery is how long an owner goroutine may go on before it lets others
// run: two of them would starve a machine of two cores.
const yieldEvery = 200 * time.Microsecond

// run is the worker's life.
func (w *worker) run() {
	c := w.core
	l := c.opts.Limits
	hello := wire.Hello{
		Role: wire.RoleWorker,
		Data: baseData + uint64(l.Memory) + uint64(l.Input) + uint64(l.Output),
	}
	cn, err := c.connect("sandpool-worker-"+strconv.Itoa(w.number), hello)
	if err != nil {
		wanted := true
		c.update(func() {
			delete(c.workers, w)
			if wanted = !closedAlready(c.quit) && c.phase != closed; wanted {
				c.startFailedLocked(err)
			}
		})
		if wanted {
			c.log.Warn("worker did not start", "worker", w.number, "error", err)
		}
		return
	}
	w.conn = cn
	c.update(func() { c.readyLocked(w) })
	c.log.Info("worker started", "worker", w.number, "pid", cn.p.PID)
	err = w.serve()
	w.leave(err)
}

// readyLocked takes a worker that has come up into service.
func (c *core) readyLocked(w *worker) {
	w.process, w.pid, w.ready = w.conn.p, w.conn.p.PID, true
	c.serving[w.process] = struct{}{}
	c.startFailures, c.notBefore = 0, time.Time{}
	c.stats.WorkersStarted++
	c.stats.Sandbox = w.conn.ready.InForce
	c.stats.SandboxMissing = w.conn.ready.Missing
	if w.condemned {
		w.process.Kill()
		return
	}
	c.idle = append(c.idle, w)
}

// serve runs calls until the worker is sent home (nil) or lost.
func (w *worker) serve() error {
	w.yielded = time.Now()
	for {
		select {
		case cl, ok := <-w.next:
			if !ok {
				return nil
			}
			if err := w.serveCall(cl); err != nil {
				return err
			}
		case <-w.conn.p.Exited():
			return errIdleDeath
		}
		if now := time.Now(); now.Sub(w.yielded) > yieldEvery {
			runtime.Gosched()
			w.yielded = now
		}
	}
}

// errIdleDeath reports a worker that ended while it held no call.
var errIdleDeath = errors.New("worker ended by itself")

// A notBegunError wraps the reason why a call never reached its worker.
type notBegunError struct{ err error }

func (e notBegunError) Error() string { return "call not begun: " + e.err.Error() }

func (e notBegunError) Unwrap() error { return e.err }

// notBegun marks a failed write to a process that was already gone.
func notBegun(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return notBegunError{err}
	}
	return err
}

// serveCall runs one call to its end. An error means that the worker is lost, or
// has to be.
func (w *worker) serveCall(cl *call) error {
	c := w.core
	output, usage, err := w.exchange(cl)
	var answer answerError
	if err != nil && !errors.As(err, &answer) {
		return err
	}
	condemned := false
	c.update(func() {
		if cl.state != Done {
			cl.usage.Run, cl.usage.Memory, cl.usage.Cold = usage.Run, usage.Memory, w.cold
		}
		c.finishLocked(cl, output, answer.err)
		w.endCallLocked()
		if condemned = w.condemned; !condemned {
			c.idle = append(c.idle, w)
		}
	})
	if condemned {
		return errCondemned
	}
	return nil
}

// errCondemned reports a worker that is being killed on purpose.
var errCondemned = errors.New("worker killed by its host")

// An answerError wraps a failure that the worker answered: it lives on.
type answerError struct{ err error }

func (e answerError) Error() string { return e.err.Error() }

// exchange sends a call, loading its function first if need be, and reads its
// answer.
func (w *worker) exchange(cl *call) (output []byte, usage Usage, err error) {
	slot, err := w.bind(cl)
	if _, answered := errors.AsType[answerError](err); err != nil && !answered {
		return nil, usage, notBegunError{err}
	} else if err != nil {
		return nil, usage, err
	}
	wall := cl.target.limits.Wall
	w.arm(cl, wall, func(over time.Duration) error {
		return &LimitError{Limit: guestabi.LimitWall, Max: int64(wall), Used: int64(wall + over)}
	})
	h := wire.Header{Type: wire.TypeCall, ID: cl.id, Slot: slot, Code: cl.target.codecs, Time: int64(wall)}
	if cl.describe {
		h.Flags |= wire.FlagDescribe
	}
	if err := w.conn.w.Write(h, cl.input); err != nil {
		return nil, usage, notBegun(err)
	}
	return w.answer(cl)
}

// answer reads frames until the call's outcome, serving host calls meanwhile.
func (w *worker) answer(cl *call) (output []byte, usage Usage, err error) {
	limits := wire.Limits{
		{Type: wire.TypeResult, Max: cl.maxResult()},
		{Type: wire.TypeFail, Max: wire.MaxFail},
		{Type: wire.TypeHostCall, Max: wire.MaxLogLine},
	}
	logs := guestLog{call: cl, worker: w}
	for {
		h, err := w.conn.r.Next(limits)
		if err != nil {
			return nil, usage, err
		}
		if h.ID != cl.id {
			return nil, usage, fmt.Errorf("worker answers call %d, it was given %d", h.ID, cl.id)
		}
		switch h.Type { //nolint:exhaustive // Next lets only these through
		case wire.TypeHostCall:
			if err := w.hostCall(h, &logs); err != nil {
				return nil, usage, err
			}
		case wire.TypeResult:
			output, err = w.conn.r.Payload(nil)
			usage = Usage{Run: time.Duration(max(h.Time, 0)), Memory: int64(h.Code) << 16}
			return output, usage, err
		case wire.TypeFail:
			return nil, usage, w.failure(h, cl)
		}
	}
}

// failure reads a FAIL and gives it its exported form. Only the worker's own
// failure loses the worker.
func (w *worker) failure(h wire.Header, cl *call) error {
	f, err := w.conn.failure()
	if err != nil {
		return err
	}
	switch h.Code {
	case wire.KindGuest:
		return answerError{&GuestError{
			Func: cl.target.name, Code: Code(f.Guest), Message: f.Message, ExitCode: f.Exit, Stack: f.Stack, Stderr: f.Stderr,
		}}
	case wire.KindLimit:
		return answerError{limitError(f)}
	case wire.KindModule:
		return answerError{moduleError(f, cl.target.module)}
	default:
		return fmt.Errorf("worker gave up: %s", quote.Line(f.Message))
	}
}

// maxResult is the longest output that the call's worker may send.
func (cl *call) maxResult() uint32 {
	if cl.describe {
		return wire.MaxDescription
	}
	return uint32(cl.target.limits.Output)
}

// hostCall serves one call of a host function.
func (w *worker) hostCall(h wire.Header, logs *guestLog) error {
	payload, err := w.conn.r.Payload(nil)
	if err != nil {
		return err
	}
	if h.Slot != wire.HostLog {
		return fmt.Errorf("worker calls host function %d, which does not exist", h.Slot)
	}
	if err := logs.write(h, payload); err != nil {
		return err
	}
	return w.conn.w.Write(wire.Header{Type: wire.TypeHostRet, ID: h.ID}, nil)
}

// arm starts the clock of what the worker does next for cl; 0 means none. late
// makes the call's error when time is up.
func (w *worker) arm(cl *call, limit time.Duration, late func(over time.Duration) error) {
	c := w.core
	c.mu.Lock()
	defer c.mu.Unlock()
	w.deadline = time.Time{}
	if limit <= 0 || w.call != cl {
		return
	}
	w.deadline, w.late = time.Now().Add(limit), late
	if w.timer == nil {
		w.timer = time.AfterFunc(limit, w.expire)
	} else {
		w.timer.Reset(limit)
	}
}

// expire ends the call whose time is up, if that is still so.
func (w *worker) expire() {
	c := w.core
	c.update(func() {
		over := time.Since(w.deadline)
		if w.call == nil || w.deadline.IsZero() || over < 0 {
			return // a timer that had fired already when it was stopped or set anew
		}
		c.condemnLocked(w)
		c.finishLocked(w.call, nil, w.late(over))
	})
}

// endCallLocked takes the call off the worker.
func (w *worker) endCallLocked() {
	if w.call != nil {
		w.call.module.users--
		if w.call.state == Done {
			w.call.forget()
		}
	}
	w.call, w.deadline, w.late = nil, time.Time{}, nil
	if w.timer != nil {
		w.timer.Stop()
	}
}

// retireLocked sends an idle worker home.
func (w *worker) retireLocked() {
	if !w.retired {
		w.retired = true
		close(w.next)
	}
}

// leave ends the process and settles what it held. err is nil when the worker was
// sent home.
func (w *worker) leave(err error) {
	c := w.core
	if err == nil {
		exit := w.conn.dismiss(c)
		c.update(func() { delete(c.workers, w) })
		c.log.Info("worker exited", "worker", w.number, "pid", exit.PID)
		return
	}
	var killed bool // by this executor, before anything else went wrong
	c.update(func() {
		killed = w.condemned
		w.condemned = true
		c.unidleLocked(w)
	})
	exit := w.conn.lastWords(c, err)
	c.update(func() {
		delete(c.workers, w)
		if killed {
			c.stats.WorkersKilled++
		} else {
			c.stats.WorkersDied++
		}
		c.lostLocked(w, exit, err)
		w.endCallLocked()
	})
	if killed {
		c.log.Info("worker killed", "worker", w.number, "pid", exit.PID)
		return
	}
	c.log.Warn("worker lost", "worker", w.number, "pid", exit.PID, "reason", err, "signal", exit.SignalName, "code", exit.Code)
}

// lostLocked settles the call that a lost worker held.
func (c *core) lostLocked(w *worker, exit proc.Exit, err error) {
	cl := w.call
	if cl == nil {
		return
	}
	_, notBegun := errors.AsType[notBegunError](err)
	if (notBegun || errors.Is(err, errIdleDeath)) && c.requeueLocked(cl) {
		return
	}
	c.finishLocked(cl, nil, &WorkerError{
		PID: exit.PID, Signal: exit.SignalName, ExitCode: exit.Code, Stderr: exit.Stderr, Err: err,
	})
}

// unidleLocked makes sure that no call is given to w.
func (c *core) unidleLocked(w *worker) {
	for i, o := range c.idle {
		if o == w {
			c.idle = append(c.idle[:i], c.idle[i+1:]...)
			return
		}
	}
}

// lastWords reaps a process that is lost. One that ended by itself is given a
// moment, so that its own signal or code is seen and not our kill.
func (cn *conn) lastWords(c *core, err error) proc.Exit {
	if !isEnd(err) && !errors.Is(err, errIdleDeath) {
		return cn.end(c)
	}
	timer := time.AfterFunc(time.Second, cn.p.Kill)
	defer timer.Stop()
	return c.reap(cn.p)
}
