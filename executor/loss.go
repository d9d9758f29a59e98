package executor

import (
	"errors"
	"time"

	"github.com/sandpool/sandpool/internal/proc"
)

// leave ends the process and settles what it held. err is nil when the worker was
// sent home.
func (w *worker) leave(err error) {
	c := w.core
	defer func() { w.slots, w.sending = slotTable{}, nil }() // futures that are kept know the worker
	if err == nil {
		exit := w.conn.dismiss(c)
		c.update(func() {
			c.stats.WorkersRetired++
			w.disarmForGoodLocked()
			c.dropTasksLocked(w)
			delete(c.fleet.all, w)
		})
		c.log.Info("worker exited", "worker", w.number, "pid", exit.PID)
		return
	}
	var killed bool // by this executor, before anything else went wrong
	c.update(func() {
		killed = w.condemned || c.phase == closed
		w.disarmLocked()
		c.outLocked(w)
		w.condemned = true
		c.giveBackLocked(w)
	})
	exit := w.conn.lastWords(c, err)
	c.update(func() {
		defer delete(c.fleet.all, w) // at last: what breaks the executor ends its call too
		w.disarmForGoodLocked()
		c.dropTasksLocked(w)
		if killed {
			c.stats.WorkersKilled++
			c.settleLossLocked(w, nil)
			return
		}
		c.stats.WorkersDied++
		loss := &WorkerError{PID: exit.PID, Signal: exit.SignalName, ExitCode: exit.Code, Stderr: exit.Stderr, Err: err, Reason: deathReason(exit)}
		if c.opts.CrashPolicy == Break {
			c.breakLocked(loss)
		}
		c.settleLossLocked(w, loss)
		if w.calls == 0 && errors.Is(err, errIdleDeath) {
			c.startFailedLocked(&StartError{Stage: "idle", Stderr: exit.Stderr, Err: exitReason(exit)})
		}
	})
	if killed {
		c.log.Info("worker killed", "worker", w.number, "pid", exit.PID)
		return
	}
	c.log.Warn("worker lost", "worker", w.number, "pid", exit.PID, "reason", err, "signal", exit.SignalName, "code", exit.Code)
}

// settleLossLocked settles the call that a lost worker was running.
func (c *core) settleLossLocked(w *worker, loss *WorkerError) {
	if len(w.held) == 0 {
		return
	}
	cl := w.held[0]
	w.held = nil
	c.letGoLocked(cl)
	cl.worker = nil // else what ends it below leaves the input to be kept
	if cl.state == Done {
		return
	}
	if cl.items != nil { // all are answered: else it would have been taken apart
		c.finishLocked(cl, nil, nil)
		return
	}
	if loss == nil {
		// Condemned for another's sake, between two calls.
		c.againLocked(cl)
		return
	}
	_, notBegun := errors.AsType[notBegunError](loss.Err)
	switch {
	case cl.kind == callPreload:
		if cl.seq != 0 {
			c.unsteadyLocked(cl)
		}
		c.finishLocked(cl, nil, errTaskLost)
	case (notBegun || errors.Is(loss.Err, errIdleDeath)) && !cl.requeued:
		// It gets a second worker, but not a third: it may be what ends them.
		cl.requeued = true
		cl.usage.Attempts--
		c.againLocked(cl)
	case cl.target.idempotent && cl.deaths < c.opts.Retries:
		cl.deaths++
		c.stats.Retried++
		c.againLocked(cl)
	default:
		loss.Attempts = cl.usage.Attempts
		c.finishLocked(cl, nil, loss)
	}
}

// againLocked puts a call that has lost its worker back to the front.
func (c *core) againLocked(cl *call) {
	if cl.kind == callPreload {
		c.finishLocked(cl, nil, errTaskLost)
		return
	}
	if end := cl.endHost; end != nil { // the next run has host functions of its own
		cl.hostCtx, cl.endHost = nil, nil
		c.after = append(c.after, func() { end(errRunAgain) })
	}
	c.enqueueLocked(cl, true)
}

// errRunAgain is the cause of a host function's context when its guest's worker
// has died and the call is run again.
var errRunAgain = errors.New("executor: the guest's worker has died")

// errTaskLost ends a task whose worker is gone.
var errTaskLost = errors.New("worker gone before it could load the module")

// lastWords reaps a process that is lost. One that ended by itself is given a
// moment, so that its own signal or code is seen and not our kill.
func (cn *conn) lastWords(c *core, err error) proc.Exit {
	if !isEnd(err) && !errors.Is(err, errIdleDeath) {
		return cn.end(c)
	}
	timer := time.AfterFunc(time.Second, cn.p.Kill)
	defer timer.Stop()
	return cn.reap(c)
}
