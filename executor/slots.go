package executor

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/sandpool/sandpool/internal/shm"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/startmethod"
)

// Bounds of what one worker holds.
const (
	maxWorkerModules = 16
	maxWorkerSlots   = 256
	maxWorkerImages  = 32 // classes of them: one that the executor has dropped lives on in its workers
)

// A slotTable is what a worker's process has loaded. It belongs to the worker's
// goroutine; its zero value is empty.
type slotTable struct {
	slots map[slotKey]*boundSlot
	next  uint32 // number of the next slot
	clock uint64 // counts uses
}

// A slotKey is what a slot is bound to.
type slotKey struct {
	digest [sha256.Size]byte // of the module
	code   [sha256.Size]byte // of the bytes that the process has of it
	name   string
	method startmethod.Method
	memory int64
	output int64
	log    int64
	more   moreLimits
	meter  bool
	host   string
	seed   uint64
	class  uint64 // of images; 0 for methods without
	image  uint64 // number of the snapshot; 0 for a warm instance, which outlives it
}

type boundSlot struct {
	number uint32
	used   uint64
	image  uint64 // number of the snapshot that came with it; 0 for none
}

// slotKeyOf returns what a call's slot is bound to.
func slotKeyOf(cl *call) (slotKey, *program, error) {
	t := &cl.target
	key := slotKey{
		digest: t.module.Sum(), name: t.name, method: cl.start.method,
		memory: t.limits.Memory, output: t.limits.Output, log: t.limits.Log, more: moreLimitsOf(t.limits), meter: t.meter, host: t.host, seed: t.seed,
	}
	switch {
	case cl.kind == callPreload && key.method != startmethod.Fresh:
		key.method = startmethod.Precompiled // whose call it will be is open, and so is the image
	case cl.kind == callDescribe && key.method == startmethod.Warm && cl.start.snap == nil:
		key.method = startmethod.Precompiled // without the initializer: the warm instance needs it
	}
	p := cl.module.program
	if key.method == startmethod.Fresh {
		var err error
		if p, err = cl.module.shared(); err != nil {
			return key, nil, answerError{loadError(err)}
		}
	}
	key.code = p.sum
	if key.restores() {
		key.class = cl.start.class
	}
	if key.method == startmethod.Snapshot {
		key.image = cl.start.snap.meta.Number
	}
	return key, p, nil
}

// restores reports whether the slot's instances may start as an image.
func (k slotKey) restores() bool {
	return k.method == startmethod.Snapshot || k.method == startmethod.Warm
}

// bind returns the slot for a call's target, loading it into the process first
// when it is not there.
func (w *worker) bind(cl *call) (uint32, error) {
	key, p, err := slotKeyOf(cl)
	if err != nil {
		return 0, err
	}
	w.canStop(cl, p)
	s := &w.slots
	s.clock++
	if b := s.slots[key]; b != nil {
		b.used = s.clock
		return b.number, nil
	}
	w.arm(cl, loadTimeout, func(time.Duration) error {
		return &StartError{Stage: "load", Err: fmt.Errorf("takes more than %v", loadTimeout)}
	})
	if err := w.makeRoom(key); err != nil {
		return 0, err
	}
	number := s.next
	s.next++
	image, err := w.load(cl, key, number)
	if err != nil {
		return 0, err
	}
	if s.slots == nil {
		s.slots = make(map[slotKey]*boundSlot)
	}
	s.slots[key] = &boundSlot{number: number, used: s.clock, image: image}
	w.noteModules()
	return number, w.dropImages(key)
}

// noteModules tells the scheduler what the process has loaded by now, and takes
// its memory anew as what growth is measured from.
func (w *worker) noteModules() {
	modules := make(map[[sha256.Size]byte]struct{}, maxWorkerModules)
	for k := range w.slots.slots {
		modules[k.digest] = struct{}{}
	}
	c := w.core
	c.mu.Lock()
	defer c.mu.Unlock()
	w.modules = modules
	w.reference = 0
	w.nextCheck = time.Now().Add(c.opts.GrowthCheck)
}

// load binds one slot in the process and reads the answer. It returns the number of
// the snapshot that the slot's instances start as, if they do.
func (w *worker) load(cl *call, key slotKey, number uint32) (image uint64, err error) {
	l := loadOf(cl.target, w.core.setup.init)
	if cl.kind != callFunction && !key.restores() {
		l.Init, l.InitInput, l.InitCodec = "", nil, 0
	}
	l.Source, l.Digest = key.digest[:], key.code[:]
	l.Function, l.Method, l.Class = key.name, string(key.method), key.class
	l.Meter = key.meter
	blobs, err := w.missing(cl, key, &l)
	if err != nil {
		return 0, answerError{&StartError{Stage: "load", Err: err}}
	}
	if err := w.conn.load(number, l, blobs...); err != nil {
		return 0, err
	}
	if l.Image != nil {
		image = l.Image.Number
	}
	return image, w.conn.loaded(number, cl.module)
}

// loadOf returns what every LOAD for a target has.
func loadOf(t target, init initializer) wire.Load {
	return wire.Load{
		Memory: uint64(t.limits.Memory), Output: uint64(t.limits.Output), LogBytes: uint64(t.limits.Log),
		CPU: uint64(t.limits.CPU), Stack: uint64(t.limits.Stack), Fuel: uint64(t.limits.Fuel),
		Stdout: uint64(t.limits.Stdout), Stderr: uint64(t.limits.Stderr),
		Host: t.hostNames(), Seed: t.seed, Init: init.name, InitInput: init.input, InitCodec: init.codec,
	}
}

// missing lists what has to go along with a LOAD, and announces it in l.
func (w *worker) missing(cl *call, key slotKey, l *wire.Load) ([]*shm.Blob, error) {
	var blobs []*shm.Blob
	m := cl.module
	add := func(b *shm.Blob) uint64 {
		blobs = append(blobs, b)
		return uint64(b.Size())
	}
	defer func() { w.cold = w.cold || l.Module > 0 || l.Entry > 0 }()
	held := w.slots.any(func(k slotKey, _ *boundSlot) bool { return k.digest == key.digest && k.code == key.code })
	if key.method == startmethod.Fresh {
		if !held {
			fresh, err := m.shared()
			if err != nil {
				return nil, err
			}
			l.Module = add(fresh.bytes)
		}
		return blobs, nil
	}
	p := m.program
	if l.Layout = p.layout; !held {
		l.Module = add(p.bytes)
	}
	compiled := w.slots.any(func(k slotKey, _ *boundSlot) bool {
		return k.digest == key.digest && k.code == key.code && k.precompiled()
	})
	if !compiled && m.entry != nil {
		l.Entry, l.EntryName = add(m.entry), m.entryName
	}
	if !held && p.base != nil {
		l.Base = add(p.base)
	}
	if snap := cl.start.snap; snap != nil && key.restores() {
		meta := snap.meta
		l.Image = &meta
		if !w.slots.any(func(_ slotKey, b *boundSlot) bool { return b.image == meta.Number }) {
			l.ImageSent = true
			add(snap.bytes)
		}
	}
	return blobs, nil
}

// precompiled reports whether the slot runs compiled code kept in the worker.
func (k slotKey) precompiled() bool { return k.method != startmethod.Fresh }

// any reports whether a bound slot's key is of a kind.
func (s *slotTable) any(is func(slotKey, *boundSlot) bool) bool {
	for k, b := range s.slots {
		if is(k, b) {
			return true
		}
	}
	return false
}

// makeRoom unloads what was not used for longest until key fits.
func (w *worker) makeRoom(key slotKey) error {
	s := &w.slots
	if held := s.any(func(k slotKey, _ *boundSlot) bool { return k.digest == key.digest }); !held && s.modules() >= maxWorkerModules {
		oldest := s.oldest()
		for k := range s.slots {
			if k.digest == oldest.digest {
				if err := w.unload(k); err != nil {
					return err
				}
			}
		}
	}
	if key.class != 0 && !s.any(func(k slotKey, _ *boundSlot) bool { return k.class == key.class }) && s.classes() >= maxWorkerImages {
		oldest := s.oldestOf(slotKey.restores)
		for k := range s.slots {
			if k.class == oldest.class {
				if err := w.unload(k); err != nil {
					return err
				}
			}
		}
	}
	if len(s.slots) >= maxWorkerSlots {
		return w.unload(s.oldest())
	}
	return nil
}

// dropImages unloads what is bound to an earlier snapshot of the same class.
func (w *worker) dropImages(key slotKey) error {
	for k := range w.slots.slots {
		if key.image != 0 && k.class == key.class && k.image != 0 && k.image != key.image {
			if err := w.unload(k); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *worker) unload(key slotKey) error {
	number := w.slots.slots[key].number
	delete(w.slots.slots, key)
	return w.conn.w.Write(wire.Header{Type: wire.TypeUnload, Slot: number}, nil)
}

func (s *slotTable) modules() int {
	digests := make(map[[sha256.Size]byte]bool, maxWorkerModules)
	for k := range s.slots {
		digests[k.digest] = true
	}
	return len(digests)
}

// classes counts those of images that the process has, or could have.
func (s *slotTable) classes() int {
	classes := make(map[uint64]bool, maxWorkerImages)
	for k := range s.slots {
		classes[k.class] = true
	}
	delete(classes, 0)
	return len(classes)
}

// oldest returns the slot that was not used for longest; the table is not empty.
func (s *slotTable) oldest() slotKey {
	return s.oldestOf(func(slotKey) bool { return true })
}

// oldestOf is oldest among the slots of a kind, of which there is one.
func (s *slotTable) oldestOf(is func(slotKey) bool) slotKey {
	var (
		key  slotKey
		used = s.clock + 1
	)
	for k, b := range s.slots {
		if b.used < used && is(k) {
			key, used = k, b.used
		}
	}
	return key
}
