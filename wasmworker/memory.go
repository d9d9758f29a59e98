package wasmworker

import (
	"github.com/tetratelabs/wazero/experimental"
)

// wasmPage is the unit of linear memory, in bytes.
const wasmPage = 64 << 10

// maxMemory is the largest linear memory an instance can have: with 65 536
// pages the engine's size arithmetic overflows.
const maxMemory = 1<<32 - wasmPage

// firstStep is how much of a reservation is opened at first, in bytes.
const firstStep = 1 << 20

// A memory is one instance's linear memory. Its address space is reserved as a
// whole and opened in doubling steps, so growing never copies and a refusal, by
// the limit or by the system, is memory.grow's −1 instead of a dead process.
type memory struct {
	limit   uint64
	region  []byte
	opened  uint64
	peak    uint64
	refused uint64 // the size that was refused last; 0 if none was, or the guest went on
}

var (
	_ experimental.MemoryAllocator = (*memory)(nil)
	_ experimental.LinearMemory    = (*memory)(nil)
)

// newMemory returns the memory of one instance, limited to limit bytes rounded
// down to whole pages.
func newMemory(limit uint64) *memory {
	return &memory{limit: min(limit, maxMemory) &^ (wasmPage - 1)}
}

// Allocate implements experimental.MemoryAllocator.
func (m *memory) Allocate(_, most uint64) experimental.LinearMemory {
	size := min(m.limit, most)
	if size == 0 {
		return m
	}
	region, err := reserve(size)
	if err == nil {
		m.region = region
	}
	return m
}

// Reallocate implements experimental.LinearMemory.
func (m *memory) Reallocate(size uint64) []byte {
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
	m.peak, m.refused = max(m.peak, size), 0
	if size == 0 {
		return []byte{}
	}
	return m.region[:size:size]
}

// Free implements experimental.LinearMemory.
func (m *memory) Free() {
	if m.region != nil {
		release(m.region)
		m.region, m.opened = nil, 0
	}
}
