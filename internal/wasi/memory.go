package wasi

import (
	"encoding/binary"
	"math"
	"reflect"

	"github.com/tetratelabs/wazero/api"
)

var le = binary.LittleEndian

// A memory is that of the calling module; without one every pointer is outside.
type memory struct{ mem api.Memory }

// memoryOf returns m's memory. A module without memory has a Memory that is a nil
// pointer in an interface. To look for an export instead would cost more, and
// allocate an error where there is none.
func memoryOf(m api.Module) memory {
	if mem := m.Memory(); mem != nil && !reflect.ValueOf(mem).IsNil() {
		return memory{mem}
	}
	return memory{}
}

// bytes returns size bytes at pointer, which are the guest's memory itself.
func (m memory) bytes(pointer uint32, size uint64) ([]byte, bool) {
	// The engine computes the end in 32 bits, so it cannot slice up to the end of
	// 4 GiB.
	if m.mem == nil || uint64(pointer)+size > math.MaxUint32 {
		return nil, false
	}
	return m.mem.Read(pointer, uint32(size))
}

// put32 writes a number.
func (m memory) put32(pointer, v uint32) errno {
	b, ok := m.bytes(pointer, 4)
	if !ok {
		return errnoFault
	}
	le.PutUint32(b, v)
	return errnoSuccess
}

// put64 writes a number.
func (m memory) put64(pointer uint32, v uint64) errno {
	b, ok := m.bytes(pointer, 8)
	if !ok {
		return errnoFault
	}
	le.PutUint64(b, v)
	return errnoSuccess
}
