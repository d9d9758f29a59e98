// Package codecache keeps compiled modules on disk between runs of a host.
//
// An entry is native code that workers execute, so it is authenticated: a key
// file that only the host's user can read, and an HMAC-SHA-256 over everything an
// entry depends on. Only the host opens the directory; workers get entries from
// memory.
package codecache

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	keyFile   = "key"
	suffix    = ".entry"
	keySize   = 32
	nameSize  = sha256.Size
	macSize   = sha256.Size
	headSize  = macSize + nameSize
	staleTemp = time.Hour // a temporary file this old has lost its writer
)

// DefaultSize bounds a directory's entries together, and hence each one, in bytes.
const DefaultSize = 1 << 30

// An ID names what an entry was compiled from and for.
type ID struct {
	Module [sha256.Size]byte // the module's digest
	Engine string            // engine version
	Target string            // system, architecture and CPU features
}

func (id ID) sum() [sha256.Size]byte {
	h := sha256.New()
	h.Write(id.Module[:])
	h.Write(fmt.Appendf(nil, "%q %q", id.Engine, id.Target))
	return [sha256.Size]byte(h.Sum(nil))
}

// An Entry is compiled code and the name under which the engine asks for it.
type Entry struct {
	Name [nameSize]byte
	Code []byte
}

// A Store is a directory of entries. It is safe for concurrent use, by several
// processes as well: files appear whole or not at all.
type Store struct {
	dir  string
	key  []byte
	size int64
}

// Open opens the store in dir, creating both it and its key when missing. It
// refuses a directory that others may write to and a key that they may read.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := checkPrivate(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, keyFile)
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = createKey(path); err == nil {
			key, err = readKey(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cache key: %w", err)
	}
	return &Store{dir: dir, key: key, size: DefaultSize}, nil
}

func readKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(path); err != nil {
		return nil, err
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("%s has %d bytes instead of %d; remove it to start afresh", path, len(key), keySize)
	}
	return key, nil
}

// createKey makes a key unless another host did so meanwhile.
func createKey(path string) error {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails
	tmp, err := writeTemp(filepath.Dir(path), key)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := os.Link(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// writeTemp writes a new private file in dir and returns its path.
func writeTemp(dir string, parts ...[]byte) (path string, err error) {
	f, err := os.CreateTemp(dir, "*.tmp")
	if err != nil {
		return "", err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	for _, p := range parts {
		if _, err := f.Write(p); err != nil {
			return "", err
		}
	}
	if len(parts) == 1 {
		return f.Name(), f.Sync() // a key that a power cut emptied would be in the way for good
	}
	return f.Name(), nil
}

func (s *Store) path(id ID) string {
	sum := id.sum()
	return filepath.Join(s.dir, hex.EncodeToString(sum[:])+suffix)
}

// mac authenticates an entry for an ID.
func (s *Store) mac(id ID, name, code []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	sum := id.sum()
	h.Write([]byte("sandpool entry 1\n"))
	h.Write(sum[:])
	h.Write(name)
	h.Write(code)
	return h.Sum(nil)
}

// ErrTampered reports an entry whose contents do not match its authentication.
// The file has been removed.
var ErrTampered = errors.New("compiled entry is not authentic")

// Get returns the entry for id. A missing one is fs.ErrNotExist, one that is not
// authentic ErrTampered.
func (s *Store) Get(id ID) (Entry, error) {
	path := s.path(id)
	info, err := os.Stat(path)
	if err != nil {
		return Entry{}, err
	}
	if info.Size() > s.size {
		_ = os.Remove(path)
		return Entry{}, fmt.Errorf("%s: %w", path, ErrTampered)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Entry{}, err
	}
	if len(data) < headSize || !hmac.Equal(data[:macSize], s.mac(id, data[macSize:headSize], data[headSize:])) {
		_ = os.Remove(path)
		return Entry{}, fmt.Errorf("%s: %w", path, ErrTampered)
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // recently used; only eviction order depends on it
	return Entry{Name: [nameSize]byte(data[macSize:headSize]), Code: data[headSize:]}, nil
}

// Put stores an entry and removes the least recently used ones that exceed the
// store's size.
func (s *Store) Put(id ID, e Entry) error {
	if headSize+int64(len(e.Code)) > s.size {
		return fmt.Errorf("compiled entry of %d bytes is too large to keep", len(e.Code))
	}
	tmp, err := writeTemp(s.dir, s.mac(id, e.Name[:], e.Code), e.Name[:], e.Code)
	if err != nil {
		return err
	}
	path := s.path(id)
	if err := os.Rename(tmp, path); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return s.prune(filepath.Base(path))
}

// prune brings the directory under the store's size, sparing keep.
func (s *Store) prune(keep string) error {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var (
		entries []fs.FileInfo
		total   int64
	)
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			continue // removed meanwhile
		}
		switch {
		case strings.HasSuffix(f.Name(), ".tmp") && time.Since(info.ModTime()) > staleTemp:
			_ = os.Remove(filepath.Join(s.dir, f.Name()))
		case strings.HasSuffix(f.Name(), suffix):
			total += info.Size()
			entries = append(entries, info)
		}
	}
	slices.SortFunc(entries, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, info := range entries {
		if total <= s.size {
			break
		}
		if info.Name() != keep && os.Remove(filepath.Join(s.dir, info.Name())) == nil {
			total -= info.Size()
		}
	}
	return nil
}
