package wasmworker

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sandpool/sandpool/internal/snapshot"
	"github.com/sandpool/sandpool/internal/wasi"
	"github.com/sandpool/sandpool/startmethod"
)

// wasmPage is the unit of linear memory, in bytes.
const wasmPage = 64 << 10

// Bounds of the instances that are kept between calls, not counting the one that
// serves. What they have is part of what the process may add.
const (
	maxKept      = 128 << 20 // bytes of their memories in all
	maxInstances = 16        // each may have a call stack of some MiB besides: see keep
)

// An image is what instances of some slots start as.
type image struct {
	number  uint64
	memory  *snapshot.Image
	state   snapshot.State
	streams wasi.State
	elapsed uint64
	kept    keeper // an instance in that state, ready for the next call
	slots   int    // bound to it; the last one frees it
}

// A warm is the instance that some slots share, call after call.
type warm struct {
	kept  keeper
	slots int
}

// A keeper keeps an instance between calls.
type keeper struct {
	inst *instance // nil for none
	used uint64    // the server's clock when it was last put there
}

// bindImage gives a new slot what its instances start as, and what they share.
func (s *server) bindImage(sl *slot, b *blobs) error {
	if sl.Image != nil {
		img := s.images[sl.Image.Number]
		if img == nil {
			var err error
			if img, err = newImage(sl, b); err != nil {
				return err
			}
			s.images[img.number] = img
		}
		img.slots++
		sl.image = img
	}
	if sl.Method != string(startmethod.Warm) {
		return nil
	}
	w := s.warm[sl.Class]
	if w == nil {
		w = new(warm)
		s.warm[sl.Class] = w
	}
	w.slots++
	sl.warm = w
	return nil
}

// newImage takes over an image that came along with a LOAD. What a template has
// said of it is checked: that process has run the guest.
func newImage(sl *slot, b *blobs) (*image, error) {
	l := sl.Image
	if b.image == nil || sl.Layout == nil {
		return nil, fmt.Errorf("image %d did not come along, or has no layout", l.Number)
	}
	img := &image{
		number:  l.Number,
		memory:  b.image,
		state:   snapshot.State{Size: l.Size, Globals: l.Globals, Random: l.Random},
		streams: wasi.State(l.Streams),
		elapsed: l.Elapsed,
	}
	if err := img.state.Validate(b.image.Size(), sl.Layout.Globals); err != nil {
		return nil, fmt.Errorf("image %d: %w", l.Number, err)
	}
	b.image = nil
	return img, nil
}

// unbindImage lets go of what a slot had.
func (s *server) unbindImage(sl *slot) {
	if img := sl.image; img != nil {
		if img.slots--; img.slots == 0 {
			s.drop(&img.kept)
			_ = img.memory.Close()
			delete(s.images, img.number)
		}
	}
	if w := sl.warm; w != nil {
		if w.slots--; w.slots == 0 {
			s.drop(&w.kept)
			delete(s.warm, sl.Class)
		}
	}
}

// keeper returns where the slot's instance is kept between calls, or nil.
func (sl *slot) keeper() *keeper {
	switch {
	case sl.warm != nil:
		return &sl.warm.kept
	case sl.image != nil:
		return &sl.image.kept
	default:
		return nil
	}
}

// take returns the instance that is kept for a slot, which is no longer kept then,
// or nil.
func (s *server) take(sl *slot) *instance {
	k := sl.keeper()
	if k == nil || k.inst == nil {
		return nil
	}
	inst := k.inst
	s.forget(k)
	return inst
}

// forget counts an instance as kept no more.
func (s *server) forget(k *keeper) {
	s.kept -= k.inst.memory.Opened()
	s.instances--
	k.inst = nil
}

func (s *server) drop(k *keeper) {
	if inst := k.inst; inst != nil {
		s.forget(k)
		inst.close()
	}
}

func (s *server) keepsTooMuch() bool { return s.kept > maxKept || s.instances > maxInstances }

// makeRoom drops instances that are kept, those not used for longest first, until
// they leave enough of the process's memory to the one that serves.
func (s *server) makeRoom() {
	var all []*keeper
	for _, img := range s.images {
		all = append(all, &img.kept)
	}
	for _, w := range s.warm {
		all = append(all, &w.kept)
	}
	slices.SortFunc(all, func(a, b *keeper) int { return cmp.Compare(a.used, b.used) })
	for _, k := range all {
		if !s.keepsTooMuch() {
			return
		}
		s.drop(k)
	}
}
