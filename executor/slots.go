package executor

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/sandpool/sandpool/internal/shm"
	"github.com/sandpool/sandpool/internal/wasmbin"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/startmethod"
)

// Bounds of what one worker holds.
const (
	maxWorkerModules = 16
	maxWorkerSlots   = 256
	maxWorkerImages  = 32 // classes of them: one that the executor has dropped lives on in its workers

	// maxWorkerCode bounds the modules and their compiled code, in bytes. One that is
	// larger by itself is held alone.
	maxWorkerCode = 256 << 20
)

// A slotTable is what a worker's process has loaded. It belongs to the worker's
// goroutine; its zero value is empty.
type slotTable struct {
	slots map[slotKey]*boundSlot
	next  uint32 // number of the next slot
	clock uint64 // counts uses
	last  lastSlot
}

// A lastSlot is what was bound last: most calls want the same again, and a slotKey is
// large. Its zero value is of no call.
type lastSlot struct {
	target  target
	kind    callKind
	start   start
	module  *module
	program *program
	slot    *boundSlot // nil for none
}

// of returns the slot if it is a call's.
func (l *lastSlot) of(cl *call) (*program, *boundSlot) {
	if l.slot == nil || l.module != cl.module || l.kind != cl.kind || l.start != cl.start || l.target != cl.target {
		return nil, nil
	}
	return l.program, l.slot
}

// A slotKey is what a slot is bound to.
type slotKey struct {
	digest [sha256.Size]byte // of the module
	mode   wasmbin.Mode      // what was added to its code
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
	named  codecNames
	world  world
	class  uint64 // of images; 0 for methods without
	image  uint64 // number of the snapshot; 0 for a warm instance, which outlives it

	hostCalls int64
}

type boundSlot struct {
	number uint32
	used   uint64
	image  uint64 // number of the snapshot that came with it; 0 for none
	code   int64  // bytes of its module and of the compiled code
}

// slotKeyOf returns what a call's slot is bound to.
func slotKeyOf(cl *call) (slotKey, *program, error) {
	t := &cl.target
	key := slotKey{
		digest: t.module.Sum(), mode: t.mode, name: t.name, method: cl.start.method,
		memory: t.limits.Memory, output: t.limits.Output, log: t.limits.Log, more: moreLimitsOf(t), meter: t.meter, host: t.host, seed: t.seed,
		named:     t.named,
		hostCalls: t.limits.HostCalls,
		world:     t.world,
	}
	switch {
	case cl.kind == callPreload && key.method != startmethod.Fresh && !cl.readies:
		key.method = startmethod.Precompiled // whose call it will be is open, and so is the image
	case cl.kind == callDescribe && key.method == startmethod.Warm && cl.start.snap == nil:
		key.method = startmethod.Precompiled // without the initializer: the warm instance needs it
	}
	p := cl.module.program
	if key.method == startmethod.Fresh {
		var err error
		if p, err = cl.core.shared(cl.module); err != nil {
			return key, nil, answerError{loadError(err)}
		}
	}
	key.code = p.sum
	if key.method != startmethod.Fresh && p.bare != nil {
		key.code = p.bareSum
	}
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
	s := &w.slots
	s.clock++
	if p, b := s.last.of(cl); b != nil {
		w.canStop(cl, p)
		b.used = s.clock
		return b.number, nil
	}
	key, p, err := slotKeyOf(cl)
	if err != nil {
		return 0, err
	}
	w.canStop(cl, p)
	if b := s.slots[key]; b != nil {
		b.used = s.clock
		s.last = lastSlot{cl.target, cl.kind, cl.start, cl.module, p, b}
		return b.number, nil
	}
	w.arm(cl, loadTimeout, func(time.Duration) error {
		return &StartError{Stage: "load", Err: fmt.Errorf("takes more than %v", loadTimeout)}
	})
	code := codeSize(cl, key)
	if err := w.makeRoom(key, code); err != nil {
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
	s.slots[key] = &boundSlot{number: number, used: s.clock, image: image, code: code}
	if err := w.dropModules(key); err != nil {
		return 0, err
	}
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
	named := t.named
	named[namedSetup] = init.named
	return wire.Load{
		Memory: uint64(t.limits.Memory), Output: uint64(t.limits.Output), LogBytes: uint64(t.limits.Log),
		CPU: uint64(t.limits.CPU), Stack: uint64(t.limits.Stack), Fuel: uint64(t.limits.Fuel),
		Stdout: uint64(t.limits.Stdout), Stderr: uint64(t.limits.Stderr),
		Host: t.hostNames(), Seed: t.seed, Init: init.name, InitInput: init.input, InitCodec: init.codec, Codecs: named.list(),
		HostCalls: uint64(t.limits.HostCalls),
		Args:      splitTexts(t.world.args), Env: splitTexts(t.world.env), Clock: t.world.clock(),
		Dirs: t.world.dirs != "", FileSize: uint64(moreLimitsOf(&t).fileSize),
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
			fresh, err := w.core.shared(m)
			if err != nil {
				return nil, err
			}
			l.Module = add(fresh.bytes)
		}
		return blobs, nil
	}
	p := m.program
	module := p.sent(w.conn, l)
	if l.Layout = p.layout; !held {
		l.Module = add(module)
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

// codeSize is how many bytes a process holds of a call's module.
func codeSize(cl *call, key slotKey) int64 {
	m := cl.module
	if key.method == startmethod.Fresh {
		return int64(m.source.Size()) // what it is compiled to lives as long as the call
	}
	size := m.program.bytes.Size()
	if m.program.bare != nil {
		size = m.program.bare.Size()
	}
	if m.entry != nil {
		size += m.entry.Size()
	}
	return size
}

// makeRoom unloads what was not used for longest until key, whose module takes code
// bytes, fits.
func (w *worker) makeRoom(key slotKey, code int64) error {
	if err := w.makeRoomForModule(key, code); err != nil {
		return err
	}
	s := &w.slots
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

// dropModules unloads what is of a module that the executor has dropped, but not what
// was just bound.
func (w *worker) dropModules(bound slotKey) error {
	var dropped []slotKey
	w.core.mu.Lock()
	for k := range w.slots.slots {
		if k.digest != bound.digest && w.core.modules[moduleKey{k.digest, k.mode}] == nil {
			dropped = append(dropped, k)
		}
	}
	w.core.mu.Unlock()
	for _, k := range dropped {
		if err := w.unload(k); err != nil {
			return err
		}
	}
	return nil
}

// makeRoomForModule unloads modules, if key has another one, until there are few enough.
func (w *worker) makeRoomForModule(key slotKey, code int64) error {
	s := &w.slots
	if s.any(func(k slotKey, _ *boundSlot) bool { return k.digest == key.digest && k.code == key.code }) {
		return nil
	}
	for {
		modules, held := s.modules()
		known := s.any(func(k slotKey, _ *boundSlot) bool { return k.digest == key.digest })
		if modules == 0 || (known || modules < maxWorkerModules) && held+code <= w.core.maxCode {
			return nil
		}
		oldest := s.oldest()
		for k := range s.slots {
			if k.digest == oldest.digest {
				if err := w.unload(k); err != nil {
					return err
				}
			}
		}
	}
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
	w.slots.last = lastSlot{}
	return w.conn.w.Write(wire.Header{Type: wire.TypeUnload, Slot: number}, nil)
}

// modules counts those that the process has, and their bytes.
func (s *slotTable) modules() (n int, code int64) {
	type held struct{ digest, code [sha256.Size]byte }
	sizes := make(map[held]int64, maxWorkerModules)
	digests := make(map[[sha256.Size]byte]bool, maxWorkerModules)
	for k, b := range s.slots {
		digests[k.digest] = true
		at := held{k.digest, k.code}
		sizes[at] = max(sizes[at], b.code)
	}
	for _, size := range sizes {
		code += size
	}
	return len(digests), code
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
