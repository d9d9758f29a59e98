package wasmworker

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"reflect"
	"sync"
	"unsafe"

	"github.com/tetratelabs/wazero"
)

// An entryCache stands where wazero keeps its file cache, so that compiled code
// comes from memory the host has authenticated instead of a directory a worker
// could reach. wazero offers no way to set it, so newEntryCache sets the private
// field; the compile and load tests notice when that stops working.
type entryCache struct {
	wazero wazero.CompilationCache

	mu      sync.Mutex // guards the fields below; wazero may compile on several goroutines
	key     [sha256.Size]byte
	content []byte // an entry that may be read, or nil
	any     bool   // whatever its key
	added   []byte // the entry of a compilation, with its key in key
}

// fileCache is the interface of wazero's private field.
type fileCache interface {
	Get(key [sha256.Size]byte) (content io.ReadCloser, ok bool, err error)
	Add(key [sha256.Size]byte, content io.Reader) error
	Delete(key [sha256.Size]byte) error
}

var _ fileCache = (*entryCache)(nil)

// newEntryCache returns nil when this version of wazero has no such field any
// more; then workers compile for themselves.
func newEntryCache() *entryCache {
	c := &entryCache{wazero: wazero.NewCompilationCache()}
	v := reflect.ValueOf(c.wazero)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil
	}
	field := v.Elem().FieldByName("fileCache")
	if !field.IsValid() || field.Kind() != reflect.Interface || !reflect.TypeOf(c).Implements(field.Type()) {
		return nil
	}
	reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem().Set(reflect.ValueOf(c))
	return c
}

// offer lets the next compilation read content instead, if it asks for key.
func (c *entryCache) offer(key, content []byte) error {
	if len(key) != sha256.Size {
		return fmt.Errorf("compiled entry's key has %d bytes", len(key))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	copy(c.key[:], key)
	c.content, c.added, c.any = content, nil, false
	return nil
}

// insist lets the next compilation read what was offered whatever key it asks for: the module is
// not the one that the entry was made of, but it without its code.
func (c *entryCache) insist() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.any = true
}

// compiledAnew reports whether the engine has compiled a module, rather than to take what was
// offered, or what it has of the same bytes already.
func (c *entryCache) compiledAnew() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.added != nil
}

// end ends an offer and forgets what a compilation has added.
func (c *entryCache) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.content, c.added = nil, nil
}

// compiled returns the key and entry of the last compilation.
func (c *entryCache) compiled() (key, entry []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.key[:], c.added
}

// Get implements fileCache.
func (c *entryCache) Get(key [sha256.Size]byte) (content io.ReadCloser, ok bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.content == nil {
		return nil, false, nil
	}
	if key != c.key && !c.any {
		return nil, false, errors.New("the compiled entry is for another module, engine or CPU")
	}
	return io.NopCloser(bytes.NewReader(c.content)), true, nil
}

// Add implements fileCache.
func (c *entryCache) Add(key [sha256.Size]byte, content io.Reader) error {
	b, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.key, c.added = key, b
	return nil
}

// Delete implements fileCache: wazero calls it for an entry of another version,
// which the handshake has ruled out.
func (c *entryCache) Delete([sha256.Size]byte) error { return nil }
