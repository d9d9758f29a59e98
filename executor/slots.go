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
	digest [sha256.Size]byte
	name   string
	method startmethod.Method
	memory int64
	output int64
	log    int64
	host   string
}

type boundSlot struct {
	number uint32
	used   uint64
}

// bind returns the slot for a call's target, loading it into the process first
// when it is not there.
func (w *worker) bind(cl *call) (uint32, error) {
	t := &cl.target
	key := slotKey{
		digest: t.module.Sum(), name: t.name, method: t.method,
		memory: t.limits.Memory, output: t.limits.Output, log: t.limits.Log, host: t.host,
	}
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
	if err := w.load(cl, key, number); err != nil {
		return 0, err
	}
	if s.slots == nil {
		s.slots = make(map[slotKey]*boundSlot)
	}
	s.slots[key] = &boundSlot{number: number, used: s.clock}
	if w.cold {
		w.noteModules()
	}
	return number, nil
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

// load binds one slot in the process and reads the answer.
func (w *worker) load(cl *call, key slotKey, number uint32) error {
	l := wire.Load{
		Digest: key.digest[:], Function: key.name, Method: string(key.method),
		Memory: uint64(key.memory), Output: uint64(key.output), LogBytes: uint64(key.log),
		Host: cl.target.hostNames(),
	}
	if init := w.core.init; cl.kind == callFunction && init.name != "" {
		l.Init, l.InitInput, l.InitCodec = init.name, init.input, init.codec
	}
	blobs, err := w.missing(cl, key, &l)
	if err != nil {
		return answerError{&StartError{Stage: "load", Err: err}}
	}
	if err := w.conn.load(number, l, blobs...); err != nil {
		return err
	}
	h, err := w.conn.r.Next(wire.Limits{{Type: wire.TypeLoaded, Max: 0}, {Type: wire.TypeFail, Max: wire.MaxFail}})
	if err != nil {
		return err
	}
	if h.Slot != number {
		return fmt.Errorf("worker answers for slot %d, it was given %d", h.Slot, number)
	}
	if h.Type == wire.TypeFail {
		err := w.conn.loadFailure(h, cl.module)
		if h.Code == wire.KindModule {
			return answerError{err}
		}
		return err
	}
	return nil
}

// missing lists what has to go along with a LOAD, and announces it in l.
func (w *worker) missing(cl *call, key slotKey, l *wire.Load) ([]*shm.Blob, error) {
	var blobs []*shm.Blob
	m := cl.module
	if held := w.slots.any(func(k slotKey) bool { return k.digest == key.digest }); !held {
		w.cold = true
		bytes, err := m.shared()
		if err != nil {
			return nil, err
		}
		l.Module = uint64(bytes.Size())
		blobs = append(blobs, bytes)
	}
	if !key.precompiled() || m.entry == nil {
		return blobs, nil
	}
	if held := w.slots.any(func(k slotKey) bool { return k.digest == key.digest && k.precompiled() }); !held {
		w.cold = true
		l.Entry, l.EntryName = uint64(m.entry.Size()), m.entryName
		blobs = append(blobs, m.entry)
	}
	return blobs, nil
}

// precompiled reports whether the slot runs compiled code kept in the worker.
func (k slotKey) precompiled() bool { return k.method != startmethod.Fresh }

// any reports whether a bound slot's key is of a kind.
func (s *slotTable) any(is func(slotKey) bool) bool {
	for k := range s.slots {
		if is(k) {
			return true
		}
	}
	return false
}

// makeRoom unloads what was not used for longest until key fits.
func (w *worker) makeRoom(key slotKey) error {
	s := &w.slots
	if held := s.any(func(k slotKey) bool { return k.digest == key.digest }); !held && s.modules() >= maxWorkerModules {
		oldest := s.oldest()
		for k := range s.slots {
			if k.digest == oldest.digest {
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

// oldest returns the slot that was not used for longest; the table is not empty.
func (s *slotTable) oldest() slotKey {
	var (
		key  slotKey
		used = s.clock + 1
	)
	for k, b := range s.slots {
		if b.used < used {
			key, used = k, b.used
		}
	}
	return key
}
