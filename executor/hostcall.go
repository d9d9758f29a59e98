package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/sandpool/sandpool/internal/quote"
	"github.com/sandpool/sandpool/internal/ring"
	"github.com/sandpool/sandpool/internal/wire"
)

// errCallOver is the cause of a host function's context when the guest's call has
// ended well.
var errCallOver = errors.New("executor: the guest's call is over")

// maxHostError bounds the text of a host function's error, in bytes, before it is
// made valid UTF-8.
const maxHostError = 32 << 10

// guestWords are what a worker has sent for the guest of one call so far.
type guestWords struct {
	logs  guestLog
	calls int64 // of host functions
}

// countCall refuses a call of a host function beyond the limit, which the worker
// keeps to by itself: one that does not is not a worker of ours any more.
func (g *guestWords) countCall(most int64) error {
	if g.calls++; g.calls > most {
		return fmt.Errorf("worker ignores the limit it was given: %w", &LimitError{Limit: LimitHostCalls, Max: most, Used: g.calls})
	}
	return nil
}

// hostCall serves one call of a host function, or of the log.
func (w *worker) hostCall(cl *call, h wire.Header, reply *reply) error {
	if h.Slot == wire.HostShow {
		return w.showMore(cl, h, reply)
	}
	if h.Slot == wire.HostLog && h.Length > wire.MaxLogLine {
		return fmt.Errorf("worker logs a line of %d bytes", h.Length)
	}
	if h.Slot != wire.HostLog {
		if err := reply.words.countCall(cl.target.limits.HostCalls); err != nil {
			return err
		}
	}
	payload, err := w.hostPayload(h)
	if err != nil {
		return err
	}
	answer := wire.Header{Type: wire.TypeHostRet, ID: h.ID}
	if h.Slot == wire.HostLog {
		if err := reply.words.logs.write(h, payload); err != nil {
			return err
		}
		return w.returnFromHost(answer, nil)
	}
	granted := cl.target.hostNames()
	if int64(h.Slot) > int64(len(granted)) {
		return fmt.Errorf("worker calls host function %d, which does not exist for it", h.Slot)
	}
	r, err := w.callHost(cl, granted[h.Slot-wire.HostFirst], payload)
	if err != nil {
		return err
	}
	if r.stopped {
		answer.Code = wire.HostStopped
		return w.returnFromHost(answer, nil)
	}
	if size := int64(len(r.output)); r.err == nil && size > cl.target.limits.Input {
		r.err = fmt.Errorf("its output of %d bytes is more than the function's input limit, %d", size, cl.target.limits.Input)
	}
	if r.err != nil {
		answer.Code = wire.HostFailed
		text := r.err.Error()
		r.output = []byte(strings.ToValidUTF8(text[:min(len(text), maxHostError)], "\uFFFD"))
	}
	reply.answer, reply.shown[wire.ShowAnswer] = nil, 0
	if len(r.output) > ring.WindowSize {
		reply.answer = r.output // the guest has yet to ask for the rest
	}
	return w.returnFromHost(answer, r.output)
}

// returnFromHost lets the guest go on. Until then the worker cannot begin another
// call, and must have heard of those it is not to begin any more.
func (w *worker) returnFromHost(answer wire.Header, output []byte) error {
	for w.owesAnswer() {
		if err := w.readRevoked(); err != nil {
			return err
		}
	}
	if w.conn.ring == nil || len(output) < wire.ArenaFrom {
		return w.conn.w.Write(answer, output)
	}
	return w.conn.show(answer, w.conn.ring.Answer, output)
}

// hostPayload reads what a guest has passed to a host function. What is in the arena has a
// buffer at once, of no more than the call's output may take.
func (w *worker) hostPayload(h wire.Header) ([]byte, error) {
	if h.Flags&wire.FlagArena == 0 {
		return w.conn.r.Payload(nil)
	}
	return w.conn.r.Payload(make([]byte, h.Length))
}

// A hostResult is what a host function returned.
type hostResult struct {
	output  []byte
	err     error
	stopped bool // nobody waits for it: the call is to end
}

// callHost runs a host function and waits for it, or for the worker's end, which
// is its error.
func (w *worker) callHost(cl *call, name string, input []byte) (r hostResult, err error) {
	c := w.core
	var ctx context.Context
	c.update(func() {
		if cl.state == Done && !w.stopping {
			c.stopLocked(w) // it has begun what nobody waits for
		}
		if w.condemned {
			return
		}
		if r.stopped = w.stopping; r.stopped {
			return
		}
		ctx = c.hostContextLocked(cl) //nolint:fatcontext // it is not in a loop: the closure runs once
		w.inHost = true
		cl.usage.HostCalls++
		c.parkLocked(w)
	})
	if r.stopped {
		return r, nil
	}
	if ctx == nil {
		return r, errCondemned
	}
	if cl.captures != nil {
		// Its turn is for others from now on: the function may wait for what they capture.
		c.endTurn(cl)
	}
	result := make(chan hostResult, 1) // holds 1: nobody may be left to receive
	fn := c.hostFunction(cl, name)
	// It exits when the function returns, which should be when ctx ends. Nobody waits
	// for it: a function that closes the executor would never return.
	go c.runHost(ctx, fn, name, input, result)
	for waiting := true; waiting && err == nil; {
		select {
		case r = <-result:
			waiting = false
		case <-ctx.Done():
			err = errCondemned
		case <-w.conn.p.Exited():
			err = io.EOF // what a plain death is, elsewhere
		case <-w.wake:
			if w.owesAnswer() { // it comes at once, also while the guest waits for us
				err = w.readRevoked()
			}
		}
	}
	c.update(func() {
		w.inHost = false
		c.parkLocked(w)
		switch {
		case w.condemned:
			err = errCondemned
		case w.stopping && (err == nil || errors.Is(err, errCondemned)):
			r, err = hostResult{stopped: true}, nil
		}
	})
	return r, err
}

// hostFunction returns the host function of that name that a call has. A call that stands for the
// making of an image has no streams, and one that makes an instance ready has nothing.
func (c *core) hostFunction(cl *call, name string) func(context.Context, []byte) ([]byte, error) {
	fn := cl.streams.function(name)
	if fn == nil && c.opts.Host != nil && cl.kind != callPreload {
		fn = c.opts.Host.functions[name].call
	}
	if fn == nil {
		return func(context.Context, []byte) ([]byte, error) {
			return nil, errors.New("host functions cannot be called now")
		}
	}
	return fn
}

// runHost runs a host function and hands its result over, also when it panics or
// ends its goroutine. The error's text is taken here, where a panic is contained.
func (c *core) runHost(ctx context.Context, fn func(context.Context, []byte) ([]byte, error), name string, input []byte, result chan<- hostResult) {
	r := hostResult{err: fmt.Errorf("host function %s has not returned", name)}
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("host function panicked", "function", name, "panic", p, "stack", string(debug.Stack()))
			r = hostResult{err: fmt.Errorf("host function %s panicked: %s", name, quote.Line(fmt.Sprint(p)))}
		}
		result <- r
	}()
	output, err := fn(ctx, input)
	if err != nil {
		err = errors.New(err.Error())
	}
	r = hostResult{output: output, err: err}
}
