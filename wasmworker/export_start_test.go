package wasmworker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sandpool/sandpool/internal/shm"
	"github.com/sandpool/sandpool/internal/snapshot"
	"github.com/sandpool/sandpool/internal/wasmbin"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/startmethod"
)

// A StartBench is a worker's server in the process of a benchmark: frames come from
// memory and go there, all in between is what a worker does. The sandbox is
// missing, and the garbage collector is the caller's to turn off.
type StartBench struct {
	s       *server
	pipes   *startPipes
	guests  map[string]*startGuest // by module
	numbers uint64                 // of images
}

// A startGuest is what a host knows of a module.
type startGuest struct {
	bytes  []byte
	sum    [sha256.Size]byte
	layout *wire.Layout
	base   *shm.Blob // nil for none
	meta   *wire.Image
	image  *shm.Blob
}

// Limits of the calls of a StartBench, an executor's defaults.
const (
	StartMemory = 256 << 20 // bytes
	startWall   = 30 * time.Second
	startStack  = 10_000
)

// NewStartBench returns a server without modules.
func NewStartBench() (*StartBench, error) {
	pages, err := snapshot.OpenPages()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	p := new(startPipes)
	s := &server{
		r: wire.NewReader(p), out: newReplies(p), calls: new(ledger),
		modules: make(map[string]*module), slots: make(map[uint32]*slot),
		images: make(map[uint64]*image), warm: make(map[uint64]*warm),
		role: wire.RoleWorker, pages: pages, cache: newEntryCache(), dog: newWatchdog(),
	}
	s.runtime = s.newRuntime(s.cache)
	return &StartBench{s: s, pipes: p, guests: make(map[string]*startGuest)}, nil
}

// Close unloads everything.
func (b *StartBench) Close() error {
	for number := range b.s.slots {
		b.s.unload(number)
	}
	var errs []error
	for _, g := range b.guests {
		for _, blob := range []*shm.Blob{g.base, g.image} {
			if blob != nil {
				errs = append(errs, blob.Close())
			}
		}
	}
	errs = append(errs, b.s.runtime.Close(context.Background()))
	if b.s.pages != nil {
		errs = append(errs, b.s.pages.Close())
	}
	return errors.Join(errs...)
}

// Load binds a slot to a function of a module, as an executor has it bound.
func (b *StartBench) Load(wasm []byte, function string, method startmethod.Method) (number uint32, err error) {
	number = uint32(len(b.s.slots)) + 1
	sum := sha256.Sum256(wasm)
	l := wire.Load{
		Source: sum[:], Function: function, Method: string(method),
		Memory: StartMemory, Output: StartMemory, Stack: startStack, LogBytes: 1 << 20, Stdout: 1 << 20, Stderr: 1 << 20,
	}
	if method == startmethod.Fresh {
		code, err := wasmbin.Instrument(wasm, wasmbin.Flag)
		if err != nil {
			return 0, err
		}
		digest := sha256.Sum256(code)
		l.Digest = digest[:]
		return number, b.bind(number, l, &blobs{module: code, release: func() {}})
	}
	g := b.guests[string(sum[:])]
	if g == nil {
		if g, err = newStartGuest(wasm); err != nil {
			return 0, err
		}
		b.guests[string(sum[:])] = g
	}
	l.Digest, l.Layout = g.sum[:], g.layout
	if method == startmethod.Precompiled {
		return number, b.bindPrepared(number, l, g)
	}
	if g.image == nil {
		if err := b.capture(l, g); err != nil {
			return 0, fmt.Errorf("capture: %w", err)
		}
	}
	l.Image, l.Class = g.meta, g.meta.Number
	return number, b.bindPrepared(number, l, g)
}

// newStartGuest does what an executor does with a module.
func newStartGuest(wasm []byte) (*startGuest, error) {
	p, err := wasmbin.Prepare(wasm)
	if err != nil {
		return nil, err
	}
	code, err := wasmbin.Instrument(p.Bytes, wasmbin.Flag)
	if err != nil {
		return nil, err
	}
	g := &startGuest{
		bytes: code, sum: sha256.Sum256(code),
		layout: &wire.Layout{Globals: p.Globals, Start: p.Start, MaxPages: p.MaxPages},
	}
	if len(p.Data) == 0 {
		return g, nil
	}
	base := make([]byte, p.MinPages*wasmPage)
	for _, d := range p.Data {
		copy(base[d.Offset:], d.Bytes)
	}
	g.base, err = shm.NewBlob("bench-base", base)
	return g, err
}

func (b *StartBench) bindPrepared(number uint32, l wire.Load, g *startGuest) error {
	sent := &blobs{module: g.bytes, release: func() {}}
	defer sent.close()
	var err error
	if sent.base, err = mapBlob(g.base); err != nil {
		return err
	}
	if l.Image != nil {
		if sent.image, err = mapBlob(g.image); err != nil {
			return err
		}
	}
	return b.bind(number, l, sent)
}

func (b *StartBench) bind(number uint32, l wire.Load, sent *blobs) error {
	if f := b.s.bind(number, l, sent); f != nil {
		return errors.New(f.Message)
	}
	return nil
}

// mapBlob maps a blob as a process that was handed its descriptor does.
func mapBlob(blob *shm.Blob) (*snapshot.Image, error) {
	if blob == nil {
		return nil, nil //nolint:nilnil // nothing to map
	}
	if blob.File() == nil {
		data, err := blob.Bytes()
		return snapshot.NewImage(data), err
	}
	f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", blob.File().Fd()))
	if err != nil {
		return nil, err
	}
	return snapshot.MapImage(f, uint64(blob.Size()))
}

// capture does what a template does.
func (b *StartBench) capture(l wire.Load, g *startGuest) error {
	const slot = 1 << 20
	l.Method = string(startmethod.Precompiled)
	if err := b.bindPrepared(slot, l, g); err != nil {
		return err
	}
	defer b.s.unload(slot)
	draft, err := shm.NewDraft("bench-image", StartMemory)
	if err != nil {
		return err
	}
	sl := b.s.slots[slot]
	c := b.s.newCall(0, sl, incoming{})
	b.s.call = c
	t := &taking{s: b.s, c: c, inst: b.s.newInstance(sl)}
	defer t.inst.close()
	c.memory = t.inst.memory
	if b.s.draft, err = shm.NewDraft("bench-selftest", StartMemory); err != nil {
		return err
	}
	got, f := t.guarded(nil, draft)
	switch {
	case f != nil:
		return errors.Join(errors.New(f.Message), draft.Close())
	case got.Unfit != "":
		return errors.Join(errors.New(got.Unfit), draft.Close())
	}
	b.numbers++
	got.Image.Number = b.numbers
	g.meta = &got.Image
	g.image, err = draft.Seal(int64(got.Image.Size))
	return err
}

// Image returns how many bytes the memory has that a slot's clones start as.
func (b *StartBench) Image(slot uint32) uint64 {
	if img := b.s.slots[slot].image; img != nil {
		return img.state.Size
	}
	return 0
}

// A StartSample is one call: how long the server needed from the moment the CALL was
// there until it wrote the answer, and until it asked for the next.
type StartSample struct{ Answer, Ready time.Duration }

// Run makes n calls of a slot's function with the input, or fewer if they take
// longer than the box, and returns them and the last output.
func (b *StartBench) Run(slot uint32, input []byte, n int, box time.Duration) ([]StartSample, []byte, error) {
	p := b.pipes
	p.call.Type, p.call.Length, p.call.Slot, p.input = wire.TypeCall, uint32(len(input)), slot, input
	p.call.Time = int64(startWall)
	p.left, p.end, p.failed = n, time.Now().Add(box), false
	p.samples = make([]StartSample, 0, n)  // at once: it is not to count as the calls' garbage
	if err := b.s.serve(); err != io.EOF { //nolint:errorlint // Reader.Next returns a bare io.EOF between frames
		return nil, nil, err
	}
	output := bytes.Clone(p.reply[wire.HeaderSize:])
	if p.failed {
		return nil, nil, fmt.Errorf("a call failed: %q", output)
	}
	return p.samples, output, nil
}

// Dirty returns how many bytes each restore of the instance that is kept for a slot
// copies back, including what the reseeding writes.
func (b *StartBench) Dirty(slot uint32) (uint64, error) {
	if b.s.pages == nil {
		return 0, errors.ErrUnsupported
	}
	k := b.s.slots[slot].keeper()
	if k == nil || k.inst == nil || k.inst.restorer == nil {
		return 0, errors.New("no instance is kept")
	}
	return k.inst.restorer.Dirty()
}

// startPipes are both of a server's pipes: a CALL whenever it reads, until there
// have been enough or one went wrong.
type startPipes struct {
	call     wire.Header
	input    []byte
	left     int
	end      time.Time
	open     bool // a call was handed over
	began    time.Time
	answered time.Time
	samples  []StartSample
	reply    []byte // the last one's frame
	failed   bool
}

// Read implements io.Reader. The buffer takes a whole frame.
func (p *startPipes) Read(b []byte) (int, error) {
	now := time.Now()
	if p.open {
		p.open = false
		p.samples = append(p.samples, StartSample{p.answered.Sub(p.began), now.Sub(p.began)})
	}
	if p.left == 0 || p.failed || now.After(p.end) && len(p.samples) > 0 {
		return 0, io.EOF
	}
	p.left--
	p.call.ID++
	n := len(p.call.AppendTo(b[:0]))
	n += copy(b[n:], p.input)
	p.open = true
	p.began = time.Now()
	return n, nil
}

// Write implements io.Writer.
func (p *startPipes) Write(b []byte) (int, error) {
	p.answered = time.Now()
	p.failed = wire.Type(b[5]) != wire.TypeResult
	p.reply = append(p.reply[:0], b...)
	return len(b), nil
}

// Clones are instances that live at the same time.
type Clones struct {
	b    *StartBench
	slot *slot
	all  []*instance
}

// NewClones makes n clones of a slot's image.
func (b *StartBench) NewClones(number uint32, n int) (*Clones, error) {
	cl := &Clones{b: b, slot: b.s.slots[number]}
	for range n {
		c, inst := cl.begin(nil), b.s.newInstance(cl.slot)
		cl.all = append(cl.all, inst)
		c.memory = inst.memory
		if f := c.guard(func() *failure { return b.s.instantiate(inst, c) }); f != nil {
			return nil, errors.Join(errors.New(f.Message), cl.Close())
		}
	}
	return cl, nil
}

func (cl *Clones) begin(input []byte) *call {
	c := cl.b.s.newCall(0, cl.slot, inMemory(input))
	cl.b.s.call = c
	return c
}

// Call has each clone serve a call and be restored.
func (cl *Clones) Call(input []byte) error {
	for _, inst := range cl.all {
		c := cl.begin(input)
		c.memory, c.system.State = inst.memory, inst.streams
		f := cl.b.s.runGuarded(inst, wire.Header{}, c)
		if f != nil {
			return errors.New(f.Message)
		}
		if !inst.rest(cl.slot, f) {
			return errors.New("a clone could not be restored")
		}
	}
	cl.b.s.call = nil
	return nil
}

// Close closes them.
func (cl *Clones) Close() error {
	for _, inst := range cl.all {
		inst.close()
	}
	cl.all = nil
	return nil
}
