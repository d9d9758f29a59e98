package executor

import (
	"errors"
	"fmt"
	"time"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/quote"
	"github.com/sandpool/sandpool/internal/wire"
)

// serveCall runs the call whose turn it is to its end, and sends those that are
// handed ahead on their way. An error means that the worker is lost, or has to be.
func (w *worker) serveCall(cl *call) error {
	sent := w.takeOver(cl)
	if !sent {
		slot, err := w.bind(cl)
		if answer, ok := errors.AsType[answerError](err); ok {
			if w.apart(cl) {
				return nil // the first of what was one call is the next to be served
			}
			return w.settle(cl, nil, Usage{}, answer.err)
		}
		if err != nil {
			return notBegunError{err}
		}
		if cl.kind == callPreload && !cl.readies {
			return w.settle(cl, nil, Usage{}, nil)
		}
		w.slot = slot
		if cl.kind == callPreload {
			w.arm(cl, loadTimeout, nil) // its own limit may be none
		} else {
			w.armWall(cl)
		}
	}
	// A worker that is gone may have answered, or begun, what it was sent before.
	err := w.send(cl)
	if errors.Is(err, errReplaced) {
		return nil
	}
	if errors.Is(err, errUnwanted) {
		return w.settle(cl, nil, Usage{}, errStopped)
	}
	if err != nil && (!sent || !isEnd(err)) {
		return err
	}
	w.conn.bePatient(cl.seq > w.quietTo)
	if cl.items != nil {
		return w.answerItems(cl)
	}
	return w.answer(cl)
}

// takeOver reports whether the call has been sent. Nobody else looks after it any more.
func (w *worker) takeOver(cl *call) (sent bool) {
	w.core.aside(func() {
		if w.lent == cl {
			w.core.reclaimLocked(w, cl)
		}
		sent = cl.seq != 0
	})
	return sent
}

// armWall starts the clock of the call's wall limit.
func (w *worker) armWall(cl *call) {
	w.core.mu.Lock()
	defer w.core.mu.Unlock()
	if !w.stopping {
		w.armWallLocked(cl)
	}
}

func (w *worker) armWallLocked(cl *call) {
	limit := cl.target.limits.Wall
	if w.stops && limit > 0 {
		limit += lateAfter // the worker knows better
	}
	w.armLocked(limit, nil)
}

// lateError is the error of the call whose time is up since over.
func (w *worker) lateError(cl *call, over time.Duration) error {
	if w.late != nil {
		return w.late(over)
	}
	wall := cl.target.limits.Wall
	return &LimitError{Limit: guestabi.LimitWall, Max: int64(wall), Used: int64(w.limit + over)}
}

// send writes the calls that have not been written yet, small ones together.
func (w *worker) send(cl *call) error {
	frames, err := w.unsent(cl)
	if err != nil {
		return err
	}
	defer clear(frames) // the inputs are the calls' again
	for i, f := range frames {
		// The first has a write of its own: what fails then has not begun. It may be
		// large, since the worker reads it before those behind it.
		if i > 0 {
			w.conn.w.Append(f.Header, f.input)
		} else if err := w.conn.writeCall(f); err != nil {
			return notBegun(err)
		}
	}
	// The first may have begun: its answer decides, or the end of the pipe.
	_ = w.conn.w.Flush()
	return nil
}

// A callFrame is a CALL to be written. It is complete in itself: the call it is for
// may be given to another worker at any moment.
type callFrame struct {
	wire.Header

	input []byte
	ahead bool // the worker may still be at another call
}

// unsent numbers the calls that have not been written yet, of which cl is the first or
// its turn is, and returns their frames.
func (w *worker) unsent(cl *call) ([]callFrame, error) {
	w.core.mu.Lock()
	defer w.core.mu.Unlock()
	if w.condemned {
		return nil, errCondemned
	}
	if cl.items != nil && w.held[0] != cl {
		return nil, errReplaced
	}
	w.held = w.core.dropUnsentLocked(w.held, 1)
	if first := w.held[0]; first.seq == 0 && first.state == Done {
		return nil, errUnwanted
	}
	w.stoppable = w.stops
	frames := w.sending[:0]
	for _, cl := range w.held {
		if cl.seq != 0 {
			continue
		}
		cl.seq = w.lastSeq + 1
		if cl.items == nil {
			frames = append(frames, w.nextFrame(cl, cl.input))
			continue
		}
		for _, it := range cl.items.list {
			frames = append(frames, w.nextFrame(cl, it.input))
		}
	}
	w.markLocked(frames)
	w.sending = frames
	return frames, nil
}

// markLocked notes of frames that are to be sent together what the worker wants to know.
func (w *worker) markLocked(frames []callFrame) {
	quiet := len(frames) > 1
	if quiet {
		head := w.held[0]
		quiet = head.module.pace[head.target.name] <= quietPace
	}
	for i := range frames {
		frames[i].ahead = i > 0 || frames[0].ID != w.held[0].seq
		if quiet && i < len(frames)-1 {
			frames[i].Flags |= wire.FlagMore
			w.quietTo = frames[i].ID
		}
	}
}

// nextFrame returns the frame of the worker's next number, for a call or an item of it.
func (w *worker) nextFrame(cl *call, input []byte) callFrame {
	w.lastSeq++
	h := wire.Header{
		Type: wire.TypeCall, ID: w.lastSeq, Slot: w.slot, Code: cl.target.codecs, Time: int64(cl.target.limits.Wall),
	}
	h.Flags = cl.flags
	if cl.kind == callDescribe || cl.kind == callPreload {
		h.Flags |= wire.FlagDescribe
	}
	return callFrame{Header: h, input: input}
}

// An answerError wraps a failure that the worker answered: it lives on.
type answerError struct{ err error }

func (e answerError) Error() string { return e.err.Error() }

// A reply is what a worker has sent for a call so far.
type reply struct {
	usage  Usage
	words  guestWords
	output []byte // what has come of it ahead of the RESULT
	answer []byte // of the last host function, when the guest may ask for more of it
	shown  [2]int // bytes of the input, and of that, which the worker has asked for
}

// answer reads frames until the call's outcome, serving host calls meanwhile, or
// until the worker has dropped the call.
func (w *worker) answer(cl *call) error {
	r := reply{words: guestWords{logs: guestLog{call: cl, worker: w}}}
	for {
		output := cl.maxResult() - uint32(len(r.output))
		limits := wire.Limits{
			{Type: wire.TypeResult, Max: output},
			{Type: wire.TypeFail, Max: wire.MaxFail},
			{Type: wire.TypeOutput, Max: output},
			{Type: wire.TypeHostCall, Max: max(wire.MaxLogLine, uint32(cl.target.limits.Output))},
			{Type: wire.TypeRevoked, Max: 0},
		}
		if cl.target.meter {
			limits = append(limits, wire.Limit{Type: wire.TypeUsage, Max: wire.UsageSize})
		}
		h, err := w.conn.r.Next(limits)
		if err != nil {
			return err
		}
		if h.Type == wire.TypeRevoked {
			if gone, err := w.revoked(h, cl); gone || err != nil {
				return err
			}
			continue
		}
		if h.ID != cl.seq {
			return fmt.Errorf("worker answers call %d, it was given %d", h.ID, cl.seq)
		}
		if h.Flags&wire.FlagArena != 0 && w.conn.ring == nil {
			return fmt.Errorf("%s of %d bytes is said to be in an arena", h.Type, h.Length)
		}
		if done, err := w.take(cl, h, &r); done || err != nil {
			return err
		}
	}
}

// take takes a frame for the call, and reports whether it was its outcome.
func (w *worker) take(cl *call, h wire.Header, r *reply) (done bool, err error) {
	switch h.Type {
	case wire.TypeHostCall:
		return false, w.hostCall(cl, h, r)
	case wire.TypeUsage:
		return false, w.conn.usage(&r.usage)
	case wire.TypeOutput:
		r.output, err = w.conn.output(h, r.output)
		return false, err
	case wire.TypeResult:
		if r.output, err = w.conn.output(h, r.output); err != nil {
			return false, err
		}
		r.usage.Run, r.usage.Memory = time.Duration(max(h.Time, 0)), int64(h.Code)<<16
		return true, w.settle(cl, r.output, r.usage, nil)
	default:
		if w.conn.ring != nil {
			w.conn.ring.Suspect() // it may have staged an output
		}
		err := w.failure(h, cl)
		answer, ok := errors.AsType[answerError](err)
		if !ok {
			return false, err
		}
		return true, w.settle(cl, nil, r.usage, answer.err)
	}
}

// settle completes the call whose turn it was and goes on to the next.
func (w *worker) settle(cl *call, output []byte, usage Usage, err error) error {
	c := w.core
	if cl.keep != nil && err == nil {
		c.results.put(*cl.keep, output)
	}
	var after error
	check := false
	c.update(func() {
		c.startProvenLocked(w)
		if w.condemned {
			after = errCondemned // its call has been given to others, or is done
			return
		}
		if err != nil && cl.kind == callPreload && cl.seq != 0 {
			c.unsteadyLocked(cl)
			output, err = nil, nil // it has loaded the module: that is all that was asked for
		}
		if cl.state != Done {
			cl.usage.Run, cl.usage.Memory, cl.usage.Cold = usage.Run, usage.Memory, w.cold
			cl.usage.CPU, cl.usage.Fuel = usage.CPU, usage.Fuel
			if cl.kind == callFunction {
				cl.module.paceLocked(cl.target.name, cl.tookLocked(c.nowLocked(), w.began))
			}
		}
		if cl.kind != callPreload {
			cl.module.startedLocked(err)
			w.calls += cl.served()
		}
		c.finishLocked(cl, output, err)
		w.cold = false
		check = c.nextLocked(w)
	})
	if check && after == nil {
		return w.checkMemory()
	}
	return after
}

// tookLocked is how long a call has taken by now since it began, each of its items on average.
func (cl *call) tookLocked(now, began time.Time) time.Duration {
	if cl.items == nil {
		return now.Sub(began)
	}
	return now.Sub(cl.items.began) / time.Duration(cl.served())
}

// served is how many calls one counts that a worker has answered.
func (cl *call) served() int {
	if cl.items == nil {
		return 1
	}
	return max(1, cl.items.answered)
}

// nextLocked takes a worker's first call off it and goes on as proceedLocked does.
func (c *core) nextLocked(w *worker) (check bool) {
	cl := w.held[0]
	w.held[0] = nil
	if w.held = w.held[1:]; len(w.held) == 0 {
		w.held = w.room[:0]
	}
	c.letGoLocked(cl)
	return c.proceedLocked(w)
}

// proceedLocked begins the call that is now a worker's first, or lets the worker
// rest; it reports whether the worker's memory is to be looked at before.
func (c *core) proceedLocked(w *worker) (check bool) {
	w.stopping = false // that was the call before, even if the worker has dropped it
	w.disarmLocked()
	w.held = c.dropUnsentLocked(w.held, 0)
	if len(w.held) > 0 {
		c.beginLocked(w)
		if w.held[0].seq != 0 {
			w.armWallLocked(w.held[0])
		}
		c.feedLocked(w)
		c.dropLocked(w) // the next one may be nobody's any more
		return false
	}
	w.held = w.room[:0]
	c.stopServingLocked(w)
	switch {
	case w.revoking: // it rests when the answer has come
		w.armLocked(exitTimeout, nil)
		return false
	case c.opts.WorkerGrowth > 0 && !w.borrowed && !w.standby && !c.nowLocked().Before(w.nextCheck):
		return true
	default:
		c.restLocked(w)
		return false
	}
}

// maxResult is the longest output that the call's worker may send.
func (cl *call) maxResult() uint32 {
	if cl.kind == callDescribe || cl.kind == callPreload {
		return wire.MaxDescription
	}
	if cl.kind == callCommand {
		return uint32(cl.target.limits.Output) + commandOverhead
	}
	return uint32(cl.target.limits.Output)
}

// failure reads a FAIL and gives it its exported form. Only the worker's own
// failure loses the worker.
func (w *worker) failure(h wire.Header, cl *call) error {
	f, err := w.conn.failure()
	if err != nil {
		return err
	}
	name := cl.target.name
	if f.Init {
		name = w.core.setup.init.name
	}
	switch h.Code {
	case wire.KindGuest:
		err = &GuestError{
			Func: name, Code: Code(f.Guest), Message: f.Message, ExitCode: f.Exit, Stack: f.Stack, Stderr: f.Stderr,
		}
	case wire.KindLimit:
		err = limitError(f)
		if _, ok := errors.AsType[*LimitError](err); !ok {
			return err // no worker of ours has that limit
		}
	case wire.KindModule:
		err = moduleError(f, cl.target.module)
	case wire.KindStopped:
		if !w.isStopping() {
			return errors.New("worker ended a call that it was not told to")
		}
		err = errStopped
	default:
		return fmt.Errorf("worker gave up: %s", quote.Line(f.Message))
	}
	if f.Init {
		err = &StartError{Stage: stageInitializer, Err: err}
	}
	return answerError{err}
}
