package snapshot

import (
	"github.com/tetratelabs/wazero/experimental"
)

// firstStep is how much of a reservation is opened at first, in bytes.
const firstStep = 1 << 20

// A Config says what a [Memory] is made of.
type Config struct {
	// Image is what the memory starts as. Nil means zeros.
	Image *Image
	// Limit is how large the memory may get, in bytes; it is rounded down to
	// whole pages.
	Limit uint64
	// Max is the maximum that the module declares, in bytes. Zero means none; a
	// module that declares zero has a Limit of zero. The rewritten module
	// declares one page more, which this withholds.
	Max uint64
	// Pages finds what a call has written to. Nil means that whole images are
	// copied back.
	Pages *Pages
}

// A Memory is one instance's linear memory. Its address space is reserved as a
// whole and opened in doubling steps, so growing never copies and a refusal, by
// the limit or by the system, is memory.grow's −1 instead of a dead process.
// What is open beyond the image's size and was not handed out is all zeros.
//
// A Memory is for one instance.
type Memory struct {
	image     *Image
	pages     *Pages
	limit     uint64
	region    []byte // all of the reservation
	opened    uint64 // how much of it is readable and writable
	size      uint64 // what the instance has
	peak      uint64
	refused   uint64 // the size that was refused last; 0 if none was, or the guest went on
	used      bool   // an instance has asked for memory
	started   bool   // and has got some
	shrinking bool   // the next Reallocate is Restore's
	restores  uint64
	scratch   *scratch // nil before the first scan
	known     known    // private pages of the image
}

var (
	_ experimental.MemoryAllocator = (*Memory)(nil)
	_ experimental.LinearMemory    = (*Memory)(nil)
)

// NewMemory returns the memory of one instance. It takes no address space before
// the instance does.
func NewMemory(c Config) *Memory {
	limit := min(c.Limit, maxMemory)
	if c.Max > 0 {
		limit = min(limit, c.Max)
	}
	return &Memory{image: c.Image, pages: c.Pages, limit: limit &^ (wasmPage - 1)}
}

// Allocate implements experimental.MemoryAllocator. It panics if the memory is
// another instance's already.
func (m *Memory) Allocate(_, most uint64) experimental.LinearMemory {
	if m.region != nil {
		panic("snapshot: Memory.Allocate for a second instance")
	}
	m.used, m.started, m.size = true, false, 0
	size := min(m.limit, most)
	if size == 0 || m.image.Size() > size {
		return m // Reallocate refuses
	}
	region, err := reserve(size)
	if err != nil {
		return m
	}
	if m.image.fill(region) != nil {
		return m // the region is released
	}
	m.region, m.opened = region, m.image.Size()
	return m
}

// Reallocate implements experimental.LinearMemory. The first call returns at
// least the image's size: an image may be larger than its module's minimum.
func (m *Memory) Reallocate(size uint64) []byte {
	if m.shrinking {
		m.shrinking, m.size = false, m.image.Size()
		return m.bytes()
	}
	if !m.started {
		size = max(size, m.image.Size())
	}
	if size > uint64(len(m.region)) {
		m.refused = size
		return nil
	}
	if size > m.opened {
		step := min(max(size, 2*m.opened, firstStep), uint64(len(m.region)))
		if open(m.region, m.opened, step) != nil {
			step = size // what the system still allows, without room to spare
			if open(m.region, m.opened, step) != nil {
				m.refused = size
				return nil
			}
		}
		m.opened = step
	}
	m.started, m.size = true, size
	m.peak, m.refused = max(m.peak, size), 0
	return m.bytes()
}

// bytes is what the instance has. It is never nil, which would be a refusal.
func (m *Memory) bytes() []byte {
	if m.size == 0 {
		return []byte{}
	}
	return m.region[:m.size:m.size]
}

// Free implements experimental.LinearMemory. It can be repeated.
func (m *Memory) Free() {
	if m.region != nil {
		release(m.region)
		m.region, m.opened, m.size = nil, 0, 0
	}
}

// Limit returns how large the memory may get, in bytes.
func (m *Memory) Limit() uint64 { return m.limit }

// Size returns how large the memory is, in bytes.
func (m *Memory) Size() uint64 { return m.size }

// Peak returns how large the memory was at most since [Memory.ResetPeak] or the
// last restore, in bytes. Free does not change it.
func (m *Memory) Peak() uint64 { return m.peak }

// ResetPeak makes the size of now the peak.
func (m *Memory) ResetPeak() { m.peak = m.size }

// Refused returns the size that was refused last, in bytes, or zero if none was
// or the guest has gone on since.
func (m *Memory) Refused() uint64 { return m.refused }

// Lives notes that the guest runs on: a refusal before this was none that it
// died of.
func (m *Memory) Lives() { m.refused = 0 }

// Opened returns how many bytes of private writable memory it holds, which is
// what counts against RLIMIT_DATA.
func (m *Memory) Opened() uint64 { return m.opened }
