package kv

import (
	"context"
	"errors"
	"sync"
)

// ErrFull is the error of a Put for which a Memory has no room.
var ErrFull = errors.New("kv: the store is full")

// Bounds of a Memory that says none.
const (
	defaultMaxBytes = 64 << 20
	defaultMaxKeys  = 100_000
)

// A Memory is a Store and Deleter in the host's memory, for tests and small uses. The
// zero value is ready. It keeps everything until it is deleted and is lost with the
// process; whoever fills it, also one tenant of several, leaves no room to the
// others. Its methods may be called from several goroutines.
type Memory struct {
	// MaxBytes bounds keys and values together, in bytes. Zero is 64 MiB, negative
	// no limit. Not to be changed once in use.
	MaxBytes int64
	// MaxKeys bounds how many keys there are. Zero is 100 000, negative no limit. Not
	// to be changed once in use.
	MaxKeys int

	mu     sync.RWMutex // guards the fields below; held for no longer than a map takes
	values map[string][]byte
	size   int64 // of keys and values
}

// Get implements Store. It never fails.
func (m *Memory) Get(_ context.Context, key string) (value []byte, ok bool, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	value, ok = m.values[key]
	return value, ok, nil
}

// Put implements Store. It fails with ErrFull, and then changes nothing.
func (m *Memory) Put(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, replaced := m.values[key]
	size := m.size + int64(len(value)) - int64(len(old))
	keys := len(m.values)
	if !replaced {
		size += int64(len(key))
		keys++
	}
	if over(size, m.MaxBytes, defaultMaxBytes) || over(int64(keys), int64(m.MaxKeys), defaultMaxKeys) {
		return ErrFull
	}
	if m.values == nil {
		m.values = make(map[string][]byte)
	}
	m.values[key], m.size = value, size
	return nil
}

// Delete implements Deleter. It never fails.
func (m *Memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.values[key]; ok {
		m.size -= int64(len(key) + len(old))
		delete(m.values, key)
	}
	return nil
}

// Len returns how many keys there are, and the bytes of keys and values.
func (m *Memory) Len() (keys int, bytes int64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.values), m.size
}

// over reports whether n is more than a limit, of which 0 is the default.
func over(n, most, base int64) bool {
	if most == 0 {
		most = base
	}
	return most >= 0 && n > most
}
