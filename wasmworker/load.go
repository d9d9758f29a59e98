package wasmworker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/tetratelabs/wazero"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/shm"
	"github.com/sandpool/sandpool/internal/snapshot"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// A module is one that this worker holds.
type module struct {
	key      string                // source and digest
	bytes    []byte                // kept for Fresh, which compiles at every call
	compiled wazero.CompiledModule // nil until a slot needs it
	index    map[string]uint32     // functions by name; nil until an instance was described
	base     *snapshot.Image       // what memory starts as, where the host has taken it out of the module
	slots    int                   // slots bound to it; the last one frees it
}

// A slot is one way to run one function.
type slot struct {
	wire.Load

	module *module
	image  *image // what instances start as; nil when they are initialised one by one
	warm   *warm  // the instance that its calls share; nil unless it is startmethod.Warm
}

// maxSlots bounds the table that a host fills.
const maxSlots = 4096

// load serves a LOAD: it takes the module's bytes and compiled entry if they
// come along, and binds the slot.
func (s *server) load(h wire.Header) error {
	var l wire.Load
	if err := s.read(h, &l); err != nil {
		return err
	}
	if len(l.Host) > wire.MaxHostNames {
		return fmt.Errorf("a LOAD with %d host functions", len(l.Host))
	}
	blobs, err := s.receive(l)
	if err != nil {
		return fmt.Errorf("receive module: %w", err) // and exit, with what has come
	}
	defer blobs.close()
	if s.role == wire.RoleTemplate && l.Method == "" {
		return s.compileOnly(h, blobs.module)
	}
	if f := s.bind(h.Slot, l, blobs); f != nil {
		return s.answerFailure(h, f)
	}
	return s.out.Write(wire.Header{Type: wire.TypeLoaded, Slot: h.Slot}, nil)
}

// bind adds the module if it is new and points the slot to it.
func (s *server) bind(number uint32, l wire.Load, blobs *blobs) *failure {
	if s.slots[number] != nil || len(s.slots) >= maxSlots {
		return internalFailure(fmt.Errorf("slot %d cannot be bound (%d in use)", number, len(s.slots)))
	}
	key := string(l.Source) + string(l.Digest)
	m := s.modules[key]
	if m == nil {
		if sum := sha256.Sum256(blobs.module); string(sum[:]) != string(l.Digest) {
			return internalFailure(errors.New("module's bytes do not match its digest"))
		}
		m = &module{key: key, bytes: blobs.module, base: blobs.base}
	}
	if l.Method != string(startmethod.Fresh) && m.compiled == nil {
		compiled, f := s.compile(m.bytes, l, blobs.entry)
		if f != nil {
			return f
		}
		m.compiled = compiled
	}
	sl := &slot{Load: l, module: m}
	if err := s.bindImage(sl, blobs); err != nil {
		return internalFailure(err)
	}
	if s.modules[m.key] == nil {
		s.modules[m.key] = m
		blobs.base = nil // it is the module's now
	}
	m.slots++
	s.slots[number] = sl
	return nil
}

// unload frees a slot, and its module with the last slot. The host may unload
// any number; one that is not bound is left alone.
func (s *server) unload(number uint32) {
	sl := s.slots[number]
	if sl == nil {
		return
	}
	delete(s.slots, number)
	s.unbindImage(sl)
	m := sl.module
	if m.slots--; m.slots > 0 {
		return
	}
	delete(s.modules, m.key)
	if m.compiled != nil {
		_ = m.compiled.Close(context.Background()) // frees code; nothing can fail
	}
	if m.base != nil {
		_ = m.base.Close()
	}
}

// compile compiles bytes, from a compiled entry if one is given. A bare module has its code
// there alone.
func (s *server) compile(bytes []byte, l wire.Load, entry []byte) (wazero.CompiledModule, *failure) {
	if l.Bare && (s.cache == nil || entry == nil) {
		return nil, internalFailure(errors.New("a module has come without its code"))
	}
	if s.cache == nil {
		return compileIn(s.runtime, bytes)
	}
	defer s.cache.end()
	if entry != nil {
		if err := s.cache.offer(l.EntryName, entry); err != nil {
			return nil, internalFailure(err)
		}
		if l.Bare {
			s.cache.insist()
		}
	}
	compiled, f := compileIn(s.runtime, bytes)
	if f == nil && l.Bare && s.cache.compiledAnew() {
		_ = compiled.Close(context.Background())
		return nil, internalFailure(errors.New("the engine did not take a module's compiled code"))
	}
	return compiled, f
}

// compileIn compiles bytes in r. The collector is on meanwhile: no guest runs,
// and compiling allocates hundreds of times the module's size.
func compileIn(r wazero.Runtime, bytes []byte) (compiled wazero.CompiledModule, f *failure) {
	percent := debug.SetGCPercent(100)
	defer func() {
		if debug.SetGCPercent(percent); percent < 0 {
			// Ends a cycle that is under way: in the middle of a call it would wait for the
			// guest, and everything else in the process for it, the watchdog included.
			runtime.GC()
		}
	}()
	defer func() {
		if p := recover(); p != nil {
			// The compiler panics where memory for code cannot be had.
			compiled, f = nil, internalFailure(fmt.Errorf("compiler panicked: %v", p))
		}
	}()
	compiled, err := r.CompileModule(context.Background(), bytes)
	if err != nil {
		return nil, moduleFailure(serialize.Invalid, "", err.Error())
	}
	return compiled, nil
}

// compileOnly serves a template's LOAD: it answers with the compiled entry.
func (s *server) compileOnly(h wire.Header, bytes []byte) error {
	if s.cache == nil {
		return s.answerFailure(h, internalFailure(errors.New("this build cannot take compiled entries out of the engine")))
	}
	compiled, f := compileIn(s.runtime, bytes)
	if f != nil {
		// A compiler that panics here does so over this module.
		return s.answerFailure(h, moduleFailure(serialize.Invalid, "", f.Message))
	}
	defer func() { _ = compiled.Close(context.Background()) }()
	key, entry := s.cache.compiled()
	if entry == nil {
		return s.answerFailure(h, internalFailure(errors.New("the engine stored no compiled entry")))
	}
	loaded := wire.Loaded{Entry: uint64(len(entry)), EntryName: key}
	if err := s.answer(wire.Header{Type: wire.TypeLoaded, Slot: h.Slot}, loaded); err != nil {
		return err
	}
	return s.out.WriteChunks(wire.Header{Type: wire.TypeEntry, Slot: h.Slot}, entry)
}

// blobs are what came along with a LOAD.
type blobs struct {
	module  []byte          // on the heap: the runtime keeps parts of it
	entry   []byte          // valid until release
	base    *snapshot.Image // nil once somebody has taken it over
	image   *snapshot.Image // likewise
	release func()
}

// close releases what nobody has taken over.
func (b *blobs) close() {
	b.release()
	for _, i := range []*snapshot.Image{b.base, b.image} {
		if i != nil {
			_ = i.Close()
		}
	}
}

// receive takes a LOAD's blobs from the descriptor channel or the pipe.
func (s *server) receive(l wire.Load) (*blobs, error) {
	b := &blobs{release: func() {}}
	var err error
	if l.Module > 0 {
		if b.module, err = s.receiveModule(l); err != nil {
			return nil, err
		}
	}
	switch {
	case l.Entry == 0:
	case l.Entry > wire.MaxEntry:
		err = fmt.Errorf("a compiled entry of %d bytes", l.Entry)
	case l.Inline:
		b.entry, err = s.readBlob(l.Entry)
	default:
		b.entry, b.release, err = s.receiveShared(l.Entry)
	}
	if err == nil && l.Base > 0 {
		b.base, err = s.receiveImage(l.Base, l.Inline)
	}
	if err == nil && l.ImageSent && l.Image != nil {
		b.image, err = s.receiveImage(l.Image.Size, l.Inline)
	}
	return b, err
}

// receiveImage takes over what memories start as.
func (s *server) receiveImage(size uint64, inline bool) (*snapshot.Image, error) {
	if size >= 1<<32 {
		return nil, fmt.Errorf("an image of %d bytes", size)
	}
	if inline {
		data, err := s.readBlob(size)
		if err != nil {
			return nil, err
		}
		return snapshot.NewImage(data), nil
	}
	f, err := s.in.ReceiveBlob()
	if err != nil {
		return nil, err
	}
	return snapshot.MapImage(f, size)
}

func (s *server) receiveModule(l wire.Load) ([]byte, error) {
	if l.Module > serialize.MaxModuleSize {
		return nil, fmt.Errorf("a module of %d bytes", l.Module)
	}
	if l.Inline {
		return s.readBlob(l.Module)
	}
	shared, release, err := s.receiveShared(l.Module)
	if err != nil {
		return nil, err
	}
	defer release()
	return append([]byte(nil), shared...), nil
}

func (s *server) receiveShared(size uint64) (data []byte, release func(), err error) {
	f, err := s.in.ReceiveBlob()
	if err != nil {
		return nil, nil, err
	}
	return shm.Map(f, size)
}

// functionIndex finds a function in a description, or says which there are.
func (m *module) functionIndex(name string) (uint32, *failure) {
	if i, ok := m.index[name]; ok {
		return i, nil
	}
	return 0, moduleFailure(serialize.MissingExport, name, "the module registers "+listNames(m.index))
}

// learn keeps a description's functions.
func (m *module) learn(d *guestabi.Description) {
	m.index = make(map[string]uint32, len(d.Functions))
	for i, f := range d.Functions {
		m.index[f.Name] = uint32(i)
	}
}
