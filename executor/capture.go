package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/internal/quote"
	"github.com/sandpool/sandpool/internal/shm"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/startmethod"
)

// What the capture of an image may take: as long as a call may, since that is what
// init would be part of otherwise, within these bounds.
const (
	minCaptureTimeout = 10 * time.Second
	maxCaptureTimeout = 60 * time.Second
	captureTurn       = time.Second // that calls wait for one to begin: those of others can take long
)

// A verdictError says why instances of a module cannot have an image: capturing it
// again would come to the same.
type verdictError struct {
	reason string
	err    error // nil when reason says all
}

func (e *verdictError) Error() string {
	if e.err == nil {
		return e.reason
	}
	return e.reason + ": " + quote.Line(e.err.Error())
}

func (e *verdictError) Unwrap() error { return e.err }

func isVerdict(err error) bool {
	_, ok := errors.AsType[*verdictError](err)
	return ok
}

// take captures an image in a process of its own.
func (c *core) take(cl *call) (*snapshot, error) {
	turn := time.NewTimer(captureTurn)
	defer turn.Stop()
	select {
	case c.turns <- struct{}{}:
		cl.turn = true
		defer c.endTurn(cl)
	case <-c.quit:
		return nil, ErrShutdown
	case <-turn.C:
		return nil, fmt.Errorf("other images are being captured, for more than %v", captureTurn)
	}
	m := cl.module
	l := cl.target.limits
	data := baseData + 2*uint64(l.Memory) + uint64(l.Input) + uint64(l.Output) // the self-test has an instance of its own
	if m.entry == nil {
		data = max(data, compileData)
	}
	cn, err := c.connect("capture", wire.Hello{Role: wire.RoleTemplate, Data: data, Image: uint64(l.Memory)})
	if err != nil {
		return nil, err
	}
	end := sync.OnceValue(func() proc.Exit { return cn.end(c) })
	defer end() // also when a log handler ends the goroutine
	draft, err := shm.NewDraft("sandpool-image", l.Memory)
	if err != nil {
		return nil, err
	}
	timeout := cmp.Or(c.captureTime, captureTimeout(l.Wall))
	timer := time.AfterFunc(timeout+stopGrace, cn.p.Kill)
	defer timer.Stop()
	meta, err := c.captureIn(cn, cl, draft, timeout)
	late := !timer.Stop()
	exit := end() // before the seal: it may have the file mapped
	if err == nil {
		return newSnapshot(draft, meta)
	}
	_ = draft.Close()
	answer, answered := errors.AsType[answerError](err)
	switch {
	case closedAlready(c.quit):
		return nil, ErrShutdown
	case late, answered && errors.Is(answer.err, &LimitError{Limit: guestabi.LimitWall}):
		return nil, &verdictError{reason: fmt.Sprintf("capturing its image takes more than %v", timeout)}
	case answered:
		return nil, &verdictError{"capturing its image failed", answer.err}
	case isEnd(err) && exit.Signal != 0: // nobody but the system or its users: it need not be the module
		return nil, &StartError{Stage: "capture", Stderr: exit.Stderr, Err: exitReason(exit)}
	case isEnd(err):
		return nil, &verdictError{"the process that captures its image died", &StartError{Stage: "capture", Stderr: exit.Stderr, Err: exitReason(exit)}}
	default:
		return nil, err
	}
}

// endTurn lets another capture begin.
func (c *core) endTurn(cl *call) {
	if cl.turn {
		cl.turn = false
		<-c.turns
	}
}

func captureTimeout(wall time.Duration) time.Duration {
	if wall <= 0 {
		return maxCaptureTimeout
	}
	return min(max(wall, minCaptureTimeout), maxCaptureTimeout)
}

func newSnapshot(draft *shm.Draft, meta wire.Image) (*snapshot, error) {
	bytes, err := draft.Seal(int64(meta.Size))
	if err != nil {
		return nil, err
	}
	return &snapshot{bytes: bytes, meta: meta}, nil
}

// captureIn loads the module into the template and has it captured.
func (c *core) captureIn(cn *conn, cl *call, draft *shm.Draft, timeout time.Duration) (meta wire.Image, err error) {
	w := &worker{core: c, conn: cn, wake: make(chan struct{}, 1)} // of no fleet: it only serves host functions
	defer func() {
		var end context.CancelCauseFunc
		c.update(func() { end, cl.endHost = cl.endHost, nil })
		if end != nil {
			end(errCallOver)
		}
	}()
	if err := c.loadTemplate(cn, cl); err != nil {
		return meta, err
	}
	request := wire.Capture{WarmUp: c.setup.calls(), Inline: cn.inline || draft.File() == nil}
	b, err := wire.Marshal(request)
	if err != nil {
		return meta, err
	}
	if !request.Inline {
		if err := cn.p.SendFile(draft.File()); err != nil {
			return meta, err
		}
	}
	if err := cn.w.Write(wire.Header{Type: wire.TypeCapture, ID: 1, Slot: templateSlot, Time: int64(timeout)}, b); err != nil {
		return meta, err
	}
	cl.seq = 1
	return w.captured(cl, draft)
}

// templateSlot is the slot that a template's module is bound to.
const templateSlot = 1

// loadTemplate binds the module to the slot.
func (c *core) loadTemplate(cn *conn, cl *call) error {
	p, m := cl.module.program, cl.module
	l := loadOf(cl.target, c.setup.init)
	l.Method = string(startmethod.Precompiled)
	source := m.source.Sum()
	module := p.sent(cn, &l)
	l.Source, l.Layout, l.Module = source[:], p.layout, uint64(module.Size())
	blobs := []*shm.Blob{module}
	if m.entry != nil {
		l.Entry, l.EntryName = uint64(m.entry.Size()), m.entryName
		blobs = append(blobs, m.entry)
	}
	if p.base != nil {
		l.Base = uint64(p.base.Size())
		blobs = append(blobs, p.base)
	}
	if err := cn.load(templateSlot, l, blobs...); err != nil {
		return err
	}
	return cn.loaded(templateSlot, m)
}

// captured serves the template until it has captured the image.
func (w *worker) captured(cl *call, draft *shm.Draft) (meta wire.Image, err error) {
	limits := wire.Limits{
		{Type: wire.TypeCaptured, Max: wire.MaxControl},
		{Type: wire.TypeImage, Max: wire.MaxChunk},
		{Type: wire.TypeFail, Max: wire.MaxFail},
		{Type: wire.TypeHostCall, Max: max(wire.MaxLogLine, uint32(cl.target.limits.Output))},
	}
	r := reply{words: guestWords{logs: guestLog{call: cl, worker: w}}}
	for {
		h, err := w.conn.r.Next(limits)
		if err != nil {
			return meta, err
		}
		switch h.Type {
		case wire.TypeHostCall:
			if err := w.hostCall(cl, h, &r); err != nil {
				return meta, err
			}
		case wire.TypeImage:
			b, err := w.conn.r.Payload(nil)
			if err != nil {
				return meta, err
			}
			if _, err := draft.WriteAt(b, int64(h.Code)*wire.ImagePage); err != nil {
				return meta, err
			}
		case wire.TypeCaptured:
			return w.conn.capturedImage(cl)
		default:
			return meta, w.failure(h, cl)
		}
	}
}

// capturedImage reads a CAPTURED and checks what it says: the process that wrote it
// has run the guest.
func (cn *conn) capturedImage(cl *call) (meta wire.Image, err error) {
	var got wire.Captured
	b, err := cn.r.Payload(nil)
	if err == nil {
		err = wire.Unmarshal(b, &got)
	}
	if err != nil {
		return meta, err
	}
	if got.Unfit != "" {
		return meta, answerError{errors.New(quote.Line(got.Unfit))}
	}
	meta = got.Image
	if err := checkImage(meta, cl); err != nil {
		return meta, fmt.Errorf("template captured what cannot be: %w", err)
	}
	meta.Number = cl.core.numbers.Add(1)
	return meta, nil
}

// checkImage reports what is wrong with an image that a template has captured:
// workers that were given it would give up.
func checkImage(meta wire.Image, cl *call) error {
	layout := cl.module.program.layout
	most := min(uint64(cl.target.limits.Memory), layout.MaxPages<<16)
	if least := cl.module.source.InitialMemory(); meta.Size < least || meta.Size > most {
		return fmt.Errorf("a memory of %d bytes, %d to %d are possible", meta.Size, least, most)
	}
	if meta.Size%(64<<10) != 0 {
		return fmt.Errorf("a memory of %d bytes", meta.Size)
	}
	if len(meta.Globals) != layout.Globals {
		return fmt.Errorf("%d globals of %d", len(meta.Globals), layout.Globals)
	}
	if len(meta.Random) > wire.MaxRandom {
		return fmt.Errorf("%d generators, %d allowed", len(meta.Random), wire.MaxRandom)
	}
	if meta.Elapsed > maxElapsed {
		return fmt.Errorf("a clock that was moved by %d ns", meta.Elapsed)
	}
	next := uint64(0) // they do not overlap
	for _, at := range meta.Random {
		if at%8 != 0 || uint64(at) < next || uint64(at)+generatorSize > meta.Size {
			return fmt.Errorf("a generator at %#x of %d bytes", at, meta.Size)
		}
		next = uint64(at) + generatorSize
	}
	return nil
}

// maxElapsed is how far a worker lets a guest move a fixed clock, in nanoseconds.
const maxElapsed = 1 << 62

// generatorSize is how large the states are that [wire.Image.Random] has the offsets
// of, in bytes: those of Go's own generator.
const generatorSize = 304
