package wasmworker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/sandpool/sandpool/internal/shm"
	"github.com/sandpool/sandpool/internal/snapshot"
	"github.com/sandpool/sandpool/internal/wire"
)

// capture serves a template's CAPTURE: it initialises an instance of the slot's
// module, warms it up, writes its memory to where the host wants it and answers with
// the rest of its state.
func (s *server) capture(h wire.Header) error {
	var request wire.Capture
	if err := s.read(h, &request); err != nil {
		return err
	}
	sl := s.slots[h.Slot]
	if s.role != wire.RoleTemplate || sl == nil || sl.Layout == nil {
		return s.answerFailure(h, internalFailure(fmt.Errorf("capture of slot %d, which cannot be", h.Slot)))
	}
	w, done, err := s.imageWriter(h, request.Inline)
	if err != nil {
		return fmt.Errorf("receive the image's file: %w", err)
	}
	defer done()
	debug.SetGCPercent(-1) // guests run: see handshake
	c := s.newCall(h.ID, sl, incoming{})
	if sl.Seed != 0 { // or calls would draw what initialisation has drawn
		c.system.Random = seeded(sl.Seed, streamInit)
	}
	s.call = c
	t := &taking{s: s, c: c, inst: s.newInstance(sl)}
	defer t.inst.close()
	c.memory = t.inst.memory
	s.watch(c, time.Now(), time.Duration(h.Time))
	got, f := t.guarded(request.WarmUp, w)
	s.unwatch()
	s.call = nil
	if f != nil {
		return s.answerFailure(h, f.withStderr(c))
	}
	return s.answer(wire.Header{Type: wire.TypeCaptured, ID: h.ID, Slot: h.Slot}, got)
}

// imageWriter returns where an image is written to.
func (s *server) imageWriter(h wire.Header, inline bool) (w io.WriterAt, done func(), err error) {
	if inline {
		return &imageFrames{s.out, wire.Header{Type: wire.TypeImage, ID: h.ID, Slot: h.Slot}}, func() {}, nil
	}
	f, err := s.in.ReceiveBlob()
	if err != nil {
		return nil, nil, err
	}
	return f, func() { f.Close() }, nil
}

// imageFrames writes an image as IMAGE frames.
type imageFrames struct {
	out    *replies
	header wire.Header
}

// WriteAt implements io.WriterAt for whole pages.
func (w *imageFrames) WriteAt(p []byte, offset int64) (int, error) {
	for at := 0; at < len(p); at += wire.MaxChunk {
		h := w.header
		h.Code = uint32((offset + int64(at)) / wire.ImagePage)
		if err := w.out.Write(h, p[at:min(at+wire.MaxChunk, len(p))]); err != nil {
			return at, err
		}
	}
	return len(p), nil
}

// A taking is one capture.
type taking struct {
	s    *server
	c    *call
	inst *instance
}

// guarded takes the image; like a call's, a panic of the engine is an answer.
func (t *taking) guarded(warmUp []wire.WarmUp, w io.WriterAt) (got wire.Captured, f *failure) {
	f = t.c.guard(func() *failure {
		if f := t.s.instantiate(t.inst, t.c); f != nil {
			return f
		}
		if f := t.warm(warmUp); f != nil {
			return f
		}
		var f *failure
		got, f = t.take(w)
		return f
	})
	return got, f
}

// warm makes the warm-up calls and asks the instance for its description, before to
// learn which functions there are, and at last: a guest may bring itself into order then,
// which every call benefits from.
func (t *taking) warm(calls []wire.WarmUp) *failure {
	c, s := t.c, t.s
	if c.slot.module.index == nil && len(calls) > 0 {
		if _, f := s.describe(t.inst, c); f != nil {
			return f
		}
	}
	for _, w := range calls {
		index, f := c.slot.module.functionIndex(w.Function)
		if f != nil {
			return f
		}
		c.input = inMemory(w.Input)
		if f := t.inst.call(s, c, index, w.Codec); f != nil {
			return f
		}
		c.forgetOutput(s)
	}
	_, f := s.describe(t.inst, c)
	c.stdout.flush()
	c.stderr.flush()
	return f
}

// maxImage bounds the memory that an image is taken of, in bytes. To write and to try
// it takes seconds and a page for each of its pages, also for those that are zeros.
const maxImage = 512 << 20

// take writes the image, to a file of the template's own as well: with that it
// tries whether an instance made of it can be restored.
func (t *taking) take(w io.WriterAt) (got wire.Captured, f *failure) {
	if size := t.inst.memory.Size(); size > maxImage {
		got.Unfit = fmt.Sprintf("a memory of %d bytes, images have %d at most", size, maxImage)
		return got, nil
	}
	own := t.s.draft
	if t.s.draft = nil; own == nil {
		return got, internalFailure(errors.New("a template takes one image"))
	}
	state, err := t.inst.restorer.Capture(both{own, w})
	if err != nil {
		return got, internalFailure(errors.Join(err, own.Close()))
	}
	blob, err := own.Seal(int64(state.Size))
	if err != nil {
		return got, internalFailure(err)
	}
	if len(state.Random) > snapshot.RuntimeRandom {
		if state.Random, err = t.runtimeRandom(state); err != nil {
			got.Unfit = err.Error()
			_ = blob.Close()
			return got, nil
		}
	}
	got.Image = wire.Image{Size: state.Size, Globals: state.Globals, Random: state.Random, Streams: uint32(t.c.system.State), Elapsed: t.c.system.Elapsed}
	memory, err := imageOf(blob)
	if err != nil {
		return got, internalFailure(err)
	}
	defer func() { _ = memory.Close() }() // after the instance that is made of it
	img := &image{memory: memory, state: state, streams: t.c.system.State, elapsed: t.c.system.Elapsed}
	if f := t.try(img); f != nil {
		if f.kind == wire.KindInternal {
			got.Unfit, f = f.Message, nil
		}
		return got, f
	}
	return got, nil
}

// runtimeRandom tells the generators of Go's runtime from others that the guest has,
// by a second instance: it is initialised with random numbers of its own, and by
// nothing else.
func (t *taking) runtimeRandom(state snapshot.State) ([]uint32, error) {
	sl := *t.c.slot
	sl.Init = ""
	inst := t.s.newInstance(&sl)
	defer inst.close()
	c := *t.c
	defer func() { *t.c = c }()
	t.c.slot, t.c.memory, t.c.deaf, t.c.system.Random = &sl, inst.memory, true, fillRandom
	if f := t.s.instantiate(inst, t.c); f != nil {
		return nil, fmt.Errorf("the guest has %d generators of random numbers, which cannot be told from the runtime's: a second instance failed: %s", len(state.Random), f.Message)
	}
	return state.Unlike(t.inst.restorer, inst.restorer), nil
}

// imageOf maps a blob of this process's own, and closes it.
func imageOf(blob *shm.Blob) (*snapshot.Image, error) {
	f := blob.File()
	if f == nil {
		data, err := blob.Bytes()
		return snapshot.NewImage(data), err
	}
	return snapshot.MapImage(f, uint64(blob.Size()))
}

// both writes to two places.
type both [2]io.WriterAt

// WriteAt implements io.WriterAt.
func (b both) WriteAt(p []byte, offset int64) (int, error) {
	for _, w := range b {
		if n, err := w.WriteAt(p, offset); err != nil {
			return n, err
		}
	}
	return len(p), nil
}

// try makes an instance of the image and has it written to, grown and restored. What
// the engine does not promise, that a memory can shrink for one, shows here and not in
// a call.
func (t *taking) try(img *image) *failure {
	sl := *t.c.slot
	sl.image = img
	inst := t.s.newInstance(&sl)
	defer inst.close()
	c := t.c
	original := c.slot
	c.slot, c.memory = &sl, inst.memory
	defer func() { c.slot, c.memory = original, t.inst.memory }()
	if f := t.s.instantiate(inst, c); f != nil {
		return f
	}
	texts := [2][]byte{}
	for i := range texts {
		if f := inst.check(&sl, "a new clone"); i == 0 && f != nil {
			return f
		}
		if f := inst.resume(t.s, c); f != nil {
			return f
		}
		var f *failure
		if texts[i], f = t.s.describe(inst, c); f != nil {
			return f
		}
		inst.scribble()
		if !inst.restore(&sl) {
			return internalFailure(errors.New("self-test: an instance could not be restored"))
		}
		if f := inst.check(&sl, "a restored instance"); f != nil {
			return f
		}
	}
	if !bytes.Equal(texts[0], texts[1]) {
		return internalFailure(errors.New("self-test: a restored instance describes itself in another way"))
	}
	return nil
}

func (i *instance) check(sl *slot, what string) *failure {
	if err := i.restorer.Check(&sl.image.state); err != nil {
		return internalFailure(fmt.Errorf("self-test: %s is not what was captured: %w", what, err))
	}
	return nil
}

// scribble writes all over the instance's memory and grows it, as a guest might.
func (i *instance) scribble() {
	if i.memory.Size() == 0 {
		return
	}
	mem := i.module.ExportedMemory("memory")
	mem.Grow(1) // may be refused, which is as good
	page := uint32(os.Getpagesize())
	for at := uint32(0); at < mem.Size(); at += 16 * page {
		mem.WriteByte(at, ^byte(at))
	}
	mem.WriteByte(mem.Size()-1, 1)
}
