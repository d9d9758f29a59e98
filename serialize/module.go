package serialize

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/sandpool/sandpool/internal/rewrite"
	"github.com/sandpool/sandpool/internal/wasmbin"
)

// MaxModuleSize is the largest module that is taken, in bytes.
const MaxModuleSize = 1 << 30

// A Module is the bytes of a WebAssembly module and what a bounded scan learned
// of them; it never changes. Two Modules with the same bytes are the same module
// to an executor. Loading a file again after it changed gives another Module;
// the first keeps its bytes, and from its first call on also the form in which
// workers get it, about its size once more: the next executor need not make that
// again. A Module is safe for concurrent use.
type Module struct {
	name   string
	digest [sha256.Size]byte
	data   []byte
	forms  *rewrite.Forms // what executors make of the module; holds data
	info   *wasmbin.Module
	unfit  error             // what Check reports
	signer ed25519.PublicKey // whose signature was verified; nil if none was
	other  error             // what CheckCommand reports
}

// LoadModule reads a module from a file and scans it. The error is a
// [*ModuleError] for what is in the file, or the file system's.
func LoadModule(path string) (*Module, error) { return Trust{}.Load(path) }

// LoadModuleFS is LoadModule from a file system, such as an embed.FS.
func LoadModuleFS(fsys fs.FS, path string) (*Module, error) { return Trust{}.LoadFS(fsys, path) }

// LoadPinned is LoadModule for a file that must have the given digest: Load of a
// [Trust] with that Digest, but that an empty one is refused too.
func LoadPinned(path, digest string) (*Module, error) {
	return Trust{Digest: cmp.Or(digest, "nothing")}.Load(path)
}

// NewModule scans a module given as bytes, of which it keeps a copy. name is for
// people: errors, logs and statistics show it.
func NewModule(name string, data []byte) (*Module, error) { return Trust{}.New(name, data) }

func readBounded(name string, r io.Reader) ([]byte, error) {
	data, err := readAtMost(name, r, MaxModuleSize+1)
	if err != nil {
		return nil, err
	}
	if len(data) > MaxModuleSize {
		return nil, tooLarge(name)
	}
	return data, nil
}

// readAtMost returns what r has, or the first n bytes of it.
func readAtMost(name string, r io.Reader, n int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, n))
	if err != nil {
		return nil, fmt.Errorf("read module %q: %w", name, err)
	}
	return data, nil
}

func tooLarge(name string) error {
	return &ModuleError{Kind: Limit, Module: name, Reason: fmt.Sprintf("larger than %d bytes", MaxModuleSize)}
}

// newModule scans data of that digest, which it keeps.
func newModule(name string, data []byte, digest [sha256.Size]byte) (*Module, error) {
	info, err := wasmbin.Scan(data)
	if err != nil {
		return nil, scanError(name, err)
	}
	forms := rewrite.Of(digest, func() []byte { return data })
	m := &Module{name: name, digest: digest, data: forms.Module(), forms: forms, info: info}
	m.unfit, m.other = checkGuest(name, info), checkCommand(name, info)
	return m, nil
}

// scanError gives a scan's verdict its exported form.
func scanError(name string, err error) error {
	var e *wasmbin.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("scan module %q: %w", name, err)
	}
	kind := Invalid
	switch e.Kind {
	case wasmbin.NotWasm:
		kind = NotWasm
	case wasmbin.Truncated:
		kind = Truncated
	case wasmbin.Limit:
		kind = Limit
	case wasmbin.Malformed:
	}
	reason := e.Reason
	if e.Section != "" {
		reason = fmt.Sprintf("%s section: %s (byte %d)", e.Section, e.Reason, e.Offset)
	}
	return &ModuleError{Kind: kind, Module: name, Reason: reason}
}

// Name returns the name it was loaded under: a file's base name.
func (m *Module) Name() string { return m.name }

// Digest returns the SHA-256 of the bytes as "sha256:" and 64 hexadecimal
// digits.
func (m *Module) Digest() string { return digestText(m.digest) }

// Sum returns the SHA-256 of the bytes.
func (m *Module) Sum() [sha256.Size]byte { return m.digest }

// SignedBy returns the key whose signature was verified when the module was loaded,
// which is the first of [Trust.Keys] that has one; nil if none was asked for.
func (m *Module) SignedBy() ed25519.PublicKey { return bytes.Clone(m.signer) }

// Size returns the length of the bytes.
func (m *Module) Size() int { return len(m.data) }

// Bytes returns a copy of the module's bytes.
func (m *Module) Bytes() []byte { return slices.Clone(m.data) }

// InitialMemory returns the linear memory that an instance starts with, in bytes.
func (m *Module) InitialMemory() uint64 {
	if m.info.Memory == nil {
		return 0
	}
	return m.info.Memory.Min << 16
}

// Check reports why no worker can run functions of the module, as a
// [*ModuleError]: an import that workers do not offer, or exports of the guest
// interface that are missing. It runs nothing. Submit calls it.
func (m *Module) Check() error { return m.unfit }

// CheckCommand reports why no worker can run the module as a WASI command, as a
// [*ModuleError]. It runs nothing.
func (m *Module) CheckCommand() error { return m.other }

// CheckSnapshot reports why instances of the module cannot be brought back into an
// earlier state, so that calls which ask for startmethod.Snapshot run precompiled;
// nil if they can, as far as the module's code tells. It costs a scan of the module.
func (m *Module) CheckSnapshot() error {
	_, err := wasmbin.Prepare(m.data)
	return err
}

func digestText(sum [sha256.Size]byte) string {
	return "sha256:" + hex.EncodeToString(sum[:])
}
