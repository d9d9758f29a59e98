package serialize_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
)

// loaders are the four ways to a Module, from a file with the content.
var loaders = map[string]func(t *testing.T, content []byte) (*serialize.Module, error){
	"LoadModule": func(t *testing.T, content []byte) (*serialize.Module, error) {
		t.Helper()
		return serialize.LoadModule(file(t, content))
	},
	"LoadModuleFS": func(t *testing.T, content []byte) (*serialize.Module, error) {
		t.Helper()
		return serialize.LoadModuleFS(fstest.MapFS{"m.wasm": {Data: content}}, "m.wasm")
	},
	"LoadPinned": func(t *testing.T, content []byte) (*serialize.Module, error) {
		t.Helper()
		return serialize.LoadPinned(file(t, content), digest(content))
	},
	"NewModule": func(t *testing.T, content []byte) (*serialize.Module, error) {
		t.Helper()
		return serialize.NewModule("m.wasm", content)
	},
}

func file(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.wasm")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func TestLoad(t *testing.T) {
	t.Parallel()
	wasm := guesttest.TinyEcho()
	for name, load := range loaders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := load(t, wasm)
			require.NoError(t, err)
			require.Equal(t, "m.wasm", m.Name())
			require.Equal(t, digest(wasm), m.Digest())
			require.Equal(t, sha256.Sum256(wasm), m.Sum())
			require.Equal(t, len(wasm), m.Size())
			require.Equal(t, wasm, m.Bytes())
			require.EqualValues(t, 64<<10, m.InitialMemory())
			require.NoError(t, m.Check())
		})
	}
}

func TestLoad_refusals(t *testing.T) {
	t.Parallel()
	echo := guesttest.TinyEcho()
	for name, tc := range map[string]struct {
		content []byte
		kind    serialize.ModuleErrorKind
		reason  string
	}{
		"empty":               {nil, serialize.NotWasm, ""},
		"text":                {[]byte("package main\n\nfunc main() {}\n"), serialize.NotWasm, ""},
		"text format":         {[]byte("(module)"), serialize.NotWasm, ""},
		"ELF":                 {[]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00"), serialize.NotWasm, ""},
		"component":           {[]byte("\x00asm\x0d\x00\x01\x00"), serialize.NotWasm, "component"},
		"version 2":           {[]byte("\x00asm\x02\x00\x00\x00"), serialize.NotWasm, ""},
		"half a section":      {echo[:20], serialize.Truncated, ""},
		"without its end":     {echo[:len(echo)-1], serialize.Truncated, ""},
		"bytes after":         {append(bytes.Clone(echo), 0xff), serialize.Invalid, "section"},
		"section twice":       {bytes.Join([][]byte{echo, guesttest.Section(11, []byte{0})}, nil), serialize.Invalid, "section"},
		"table of 20 000 000": {append(guesttest.Header(), guesttest.Section(4, []byte{1, 0x70, 0, 0x80, 0xda, 0xc4, 0x09})...), serialize.Limit, "table"},
	} {
		for loader, load := range loaders {
			t.Run(name+"/"+loader, func(t *testing.T) {
				t.Parallel()
				m, err := load(t, tc.content)
				require.Nil(t, m)
				me := moduleError(t, err)
				require.Equal(t, tc.kind, me.Kind, "%v", err)
				require.Equal(t, "m.wasm", me.Module)
				require.NotEmpty(t, me.Reason)
				require.Contains(t, me.Reason, tc.reason)
			})
		}
	}
}

func TestNewModule_truncated(t *testing.T) {
	t.Parallel()
	echo := guesttest.TinyEcho()
	refused := 0
	for n := range echo {
		_, err := serialize.NewModule("cut", echo[:n])
		if err == nil {
			continue // it ends between two sections
		}
		refused++
		me := moduleError(t, err)
		if n < 8 {
			require.Contains(t, []serialize.ModuleErrorKind{serialize.NotWasm, serialize.Truncated}, me.Kind, "%d bytes", n)
		} else {
			require.Contains(t, []serialize.ModuleErrorKind{serialize.Truncated, serialize.Invalid}, me.Kind, "%d bytes: %v", n, err)
		}
	}
	require.Greater(t, refused, len(echo)-20)
}

func TestLoad_missingFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing.wasm")
	_, err := serialize.LoadModule(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = serialize.LoadPinned(path, digest(nil))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = serialize.LoadModuleFS(fstest.MapFS{}, "missing.wasm")
	require.ErrorIs(t, err, fs.ErrNotExist)
	for _, load := range []func(string) (*serialize.Module, error){
		serialize.LoadModule,
		func(path string) (*serialize.Module, error) { return serialize.LoadPinned(path, digest(nil)) },
	} {
		_, err = load(t.TempDir())
		require.ErrorContains(t, err, "read module", "a directory")
		require.False(t, errors.Is(err, &serialize.ModuleError{}), "is about the file system")
	}
}

// failingFS holds one file that cannot be read, or has no end.
type failingFS struct{ r io.Reader }

func (f failingFS) Open(string) (fs.File, error) { return failingFile{f.r}, nil }

type failingFile struct{ io.Reader }

func (failingFile) Stat() (fs.FileInfo, error) { return nil, fs.ErrInvalid }
func (failingFile) Close() error               { return nil }

func TestLoadModuleFS_readError(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	_, err := serialize.LoadModuleFS(failingFS{iotest.ErrReader(broken)}, "m.wasm")
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, `"m.wasm"`)
}

func TestLoadPinned_otherDigest(t *testing.T) {
	t.Parallel()
	wasm := guesttest.TinyEcho()
	path := file(t, wasm)
	for _, pin := range []string{
		"", digest(nil), strings.TrimPrefix(digest(wasm), "sha256:"), digest(wasm)[:40], digest(wasm) + " ", "sha256:\n\x1b[31m",
	} {
		_, err := serialize.LoadPinned(path, pin)
		require.Equal(t, serialize.Digest, moduleError(t, err).Kind)
		require.NotContains(t, err.Error(), "\x1b")
	}
	_, err := serialize.LoadPinned(path, "SHA256:"+strings.ToUpper(digest(wasm)[7:]))
	require.NoError(t, err, "case does not matter")

	// Refused for its digest, not for what a parser would say.
	_, err = serialize.LoadPinned(file(t, []byte("text")), digest(wasm))
	require.Equal(t, serialize.Digest, moduleError(t, err).Kind)
}

func TestLoadModule_changed(t *testing.T) {
	t.Parallel()
	first, second := guesttest.TinyEcho(), guesttest.TinyTrap()
	path := file(t, first)
	a, err := serialize.LoadModule(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, second, 0o600))
	b, err := serialize.LoadModule(path)
	require.NoError(t, err)
	require.Equal(t, a.Name(), b.Name())
	require.NotEqual(t, a.Digest(), b.Digest())
	require.Equal(t, first, a.Bytes())
	require.Equal(t, digest(first), a.Digest())
	require.Equal(t, second, b.Bytes())
}

func TestNewModule_copies(t *testing.T) {
	t.Parallel()
	wasm := guesttest.TinyEcho()
	given := bytes.Clone(wasm)
	m := newModule(t, "m", given)
	clear(given)
	require.Equal(t, wasm, m.Bytes())
	clear(m.Bytes())
	require.Equal(t, wasm, m.Bytes())
}

func TestModule_InitialMemory(t *testing.T) {
	t.Parallel()
	require.EqualValues(t, 300<<16, newModule(t, "m", guesttest.TinyMemory(300)).InitialMemory())
	require.EqualValues(t, 1<<32, newModule(t, "m", guesttest.TinyMemory(1<<16)).InitialMemory())
	require.Zero(t, newModule(t, "m", guesttest.Header()).InitialMemory())
}

func TestModule_Summary(t *testing.T) {
	t.Parallel()
	var m guesttest.Module
	imported := m.Import("env", "log\n", guesttest.Sig(i32s(1)))
	m.Memory(2, 10)
	f := m.Func(sigDescr, nil, zero())
	m.Export("f", f)
	m.Export("again", imported)
	m.ExportGlobal("g", m.Global(guesttest.I64, 7))
	m.ExportTable("t", m.Table(1, 1))
	m.Custom("note", []byte("x"))
	module := newModule(t, "m", m.Bytes())
	s := module.Summary()
	require.Equal(t, []serialize.Symbol{{Module: "env", Name: "log\n", Kind: "function", Type: "(i32) -> ()"}}, s.Imports)
	require.Equal(t, []serialize.Symbol{
		{Name: "memory", Kind: "memory"},
		{Name: "f", Kind: "function", Type: "() -> (i32)"},
		{Name: "again", Kind: "function", Type: "(i32) -> ()"},
		{Name: "g", Kind: "global"},
		{Name: "t", Kind: "table"},
	}, s.Exports)
	require.Equal(t, &serialize.Memory{Min: 2, Max: 10, HasMax: true}, s.Memory)
	require.Equal(t, []string{"note"}, s.Custom)
	require.Positive(t, s.CodeSize)
	require.False(t, s.Guest)
	require.Empty(t, s.Features)
	s.Custom[0] = "changed"
	require.Equal(t, "note", module.Summary().Custom[0])

	s = newModule(t, "m", guesttest.TinyMemory(3)).Summary()
	require.True(t, s.Guest)
	require.Equal(t, &serialize.Memory{Min: 3}, s.Memory)
	require.Nil(t, newModule(t, "m", guesttest.Header()).Summary().Memory)
}
