package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandpool/sandpool/internal/wasmbin"
)

// An Instance is an instance whose state can be taken and brought back. It
// belongs to one goroutine at a time.
type Instance struct {
	Module api.Module
	Memory *Memory

	linear  api.Memory // nil if the module has none
	globals []global
	seeds   []byte // what Reseed draws
}

// A global is a mutable numeric global. mask is what of its 64 bits counts.
type global struct {
	api.MutableGlobal
	mask uint64
}

// NewInstance looks up the globals of an instance that mem was allocated to; mem
// is nil or unused if the module has no memory of its own. globals is how many
// the rewritten module exports, as [wasmbin.Prepared] has it.
func NewInstance(m api.Module, mem *Memory, globals int) (*Instance, error) {
	in := &Instance{Module: m, Memory: mem, globals: make([]global, 0, globals)}
	if mem == nil {
		in.Memory = NewMemory(Config{})
	}
	if in.Memory.used { // otherwise what Memory returns must not be used
		in.linear = m.Memory()
	}
	for i := range globals {
		name := wasmbin.GlobalName(i)
		g, ok := m.ExportedGlobal(name).(api.MutableGlobal)
		if !ok {
			return nil, fmt.Errorf("no mutable global %q", name)
		}
		entry := global{g, 1<<64 - 1}
		switch g.Type() {
		case api.ValueTypeI64, api.ValueTypeF64:
		case api.ValueTypeI32, api.ValueTypeF32:
			entry.mask = 1<<32 - 1
		default: // a reference is an address in this process
			return nil, fmt.Errorf("global %q is of type %#x", name, g.Type())
		}
		in.globals = append(in.globals, entry)
	}
	return in, nil
}

func (g *global) get() uint64  { return g.Get() & g.mask }
func (g *global) set(v uint64) { g.Set(v & g.mask) }

// Capture writes the memory, except its pages of zeros, and returns the rest of
// the instance's state. No call is running. Generators that [Instance.Reseed] has
// given a seed and that were not drawn from since are not found: capture an
// instance that was not reseeded.
func (in *Instance) Capture(w io.WriterAt) (State, error) {
	if err := in.usable(); err != nil {
		return State{}, err
	}
	memory := in.memory()
	if err := writePages(w, memory); err != nil {
		return State{}, err
	}
	s := State{Size: uint64(len(memory)), Random: findRandom(memory)}
	for i := range in.globals {
		s.Globals = append(s.Globals, in.globals[i].get())
	}
	return s, nil
}

// writePages writes the pages that are not zeros, adjacent ones at once.
func writePages(w io.WriterAt, memory []byte) error {
	const page = 4 << 10 // the smallest that any system has: w may be sparse
	var zeros [page]byte
	for at := 0; at < len(memory); {
		end := at
		for end < len(memory) && !bytes.Equal(memory[end:end+page], zeros[:]) {
			end += page
		}
		if end > at {
			if _, err := w.WriteAt(memory[at:end], int64(at)); err != nil {
				return fmt.Errorf("write the image: %w", err)
			}
		}
		at = end + page
	}
	return nil
}

// Apply makes a new clone, an instance over the image whose own initialization
// did not run, what was captured.
func (in *Instance) Apply(s *State) error {
	if err := in.fits(s); err != nil {
		return err
	}
	if in.linear != nil && uint64(in.linear.Size()) != s.Size {
		return fmt.Errorf("a clone with %d bytes, %d captured", in.linear.Size(), s.Size)
	}
	in.setGlobals(s)
	return nil
}

// Restore makes the instance what was captured, in place: the memory is the image
// again and as large, and the globals are set. It takes no memory and, unless
// the guest has grown or dirtied a lot, no system call but the scan. After an
// error the instance must be closed: its state is undefined.
func (in *Instance) Restore(s *State) error {
	if err := in.fits(s); err != nil {
		return err
	}
	if in.linear != nil {
		size := in.Memory.size
		if err := in.shrink(s.Size); err != nil {
			return err
		}
		if err := in.Memory.restore(size); err != nil {
			return fmt.Errorf("restore the memory: %w", err)
		}
	}
	in.setGlobals(s)
	return nil
}

// shrink undoes what the guest has grown. The engine has no such operation: it
// takes the slice that growing returns, whatever its size, for the memory, which
// nothing promises. So the result is looked at.
func (in *Instance) shrink(size uint64) error {
	if in.Memory.size == size {
		return nil
	}
	in.Memory.shrinking = true
	_, ok := in.linear.Grow(1)
	in.Memory.shrinking = false
	if got := uint64(in.linear.Size()); !ok || got != size {
		return fmt.Errorf("shrink the memory to %d bytes: it has %d", size, got)
	}
	return nil
}

// Reseed gives the generators of Go's runtime new seeds, which random is asked
// for in one call. It does nothing to an instance that the state does not fit.
func (in *Instance) Reseed(s *State, random func([]byte)) {
	n := len(s.Random) * seedSize
	if n == 0 || in.fits(s) != nil {
		return
	}
	if len(in.seeds) < n {
		in.seeds = make([]byte, n)
	}
	random(in.seeds[:n])
	memory := in.memory()
	for i, at := range s.Random {
		reseed(memory[at:at+generatorSize], in.seeds[i*seedSize:][:seedSize])
	}
	clear(in.seeds)
}

// Check compares the whole instance with what was captured, except for the
// states of the generators. It is for self-tests.
func (in *Instance) Check(s *State) error {
	if err := in.fits(s); err != nil {
		return err
	}
	memory := in.memory()
	if uint64(len(memory)) != s.Size || in.linear != nil && uint64(in.linear.Size()) != s.Size {
		return fmt.Errorf("the memory has %d bytes, %d captured", len(memory), s.Size)
	}
	from := 0
	for _, at := range s.Random {
		if err := in.same(memory, from, int(at)); err != nil {
			return err
		}
		from = int(at) + generatorSize
	}
	if err := in.same(memory, from, len(memory)); err != nil {
		return err
	}
	for i := range in.globals {
		g := &in.globals[i]
		if got, want := g.get(), s.Globals[i]&g.mask; got != want {
			return fmt.Errorf("global %d is %#x, %#x captured", i, got, want)
		}
	}
	return nil
}

// same compares a part of the memory with the image.
func (in *Instance) same(memory []byte, from, to int) error {
	if from == to || bytes.Equal(memory[from:to], in.Memory.image.data[from:to]) {
		return nil
	}
	for memory[from] == in.Memory.image.data[from] {
		from++
	}
	return fmt.Errorf("the memory differs from the image at %#x", from)
}

// Dirty returns how many bytes of the memory are private pages: what the calls
// have written to since such pages were last given back.
func (in *Instance) Dirty() (uint64, error) {
	if err := in.usable(); err != nil {
		return 0, err
	}
	return in.Memory.private(in.Memory.size)
}

var errClosed = errors.New("the instance is closed")

// usable reports whether the instance's memory is still its own.
func (in *Instance) usable() error {
	if in.Module.IsClosed() {
		return errClosed
	}
	return nil
}

// fits reports whether the state, a valid one, is of this instance's kind.
func (in *Instance) fits(s *State) error {
	if err := in.usable(); err != nil {
		return err
	}
	size := in.Memory.image.Size()
	if in.linear == nil {
		size = 0
	}
	if s.Size != size || len(s.Globals) != len(in.globals) {
		return fmt.Errorf("a state of %d bytes and %d globals for an instance with %d and %d",
			s.Size, len(s.Globals), size, len(in.globals))
	}
	if in.Memory.size < size {
		return fmt.Errorf("an instance with %d bytes of its image of %d", in.Memory.size, size)
	}
	return nil
}

func (in *Instance) setGlobals(s *State) {
	for i := range in.globals {
		in.globals[i].set(s.Globals[i])
	}
}

// memory is the instance's memory as the guest sees it.
func (in *Instance) memory() []byte {
	if in.linear == nil {
		return nil
	}
	return in.Memory.region[:in.Memory.size]
}
