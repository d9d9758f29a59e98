package executor

import (
	"crypto/sha256"
	"sync"

	"github.com/sandpool/sandpool/internal/wasmbin"
)

// Most tests call the same few modules, each in an executor of its own.
func init() {
	var prepared, instrumented memo
	prepare = func(b []byte) (*wasmbin.Prepared, error) {
		return kept(&prepared, b, 0, func() (*wasmbin.Prepared, error) { return wasmbin.Prepare(b) })
	}
	instrument = func(b []byte, mode wasmbin.Mode) ([]byte, error) {
		return kept(&instrumented, b, mode, func() ([]byte, error) { return wasmbin.Instrument(b, mode) })
	}
}

// A memo keeps results by module and mode.
type memo struct{ entries sync.Map }

func kept[T any](m *memo, b []byte, mode wasmbin.Mode, make func() (T, error)) (T, error) {
	type key struct {
		sum  [sha256.Size]byte
		mode wasmbin.Mode
	}
	entry, _ := m.entries.LoadOrStore(key{sha256.Sum256(b), mode}, sync.OnceValues(make))
	once, ok := entry.(func() (T, error))
	if !ok {
		return make()
	}
	return once()
}
