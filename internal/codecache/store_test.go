package codecache_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/codecache"
)

func id(s string) codecache.ID {
	return codecache.ID{Module: [32]byte([]byte(strings.Repeat(s, 32))[:32]), Engine: "e", Target: "t"}
}

func entry(code string) codecache.Entry {
	return codecache.Entry{Name: [32]byte{1}, Code: []byte(code)}
}

func open(t *testing.T, dir string) *codecache.Store {
	t.Helper()
	s, err := codecache.Open(dir)
	require.NoError(t, err)
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cache")
	s := open(t, dir)
	_, err := s.Get(id("a"))
	require.ErrorIs(t, err, fs.ErrNotExist)

	require.NoError(t, s.Put(id("a"), entry("code a")))
	// Another host, same directory: same key.
	got, err := open(t, dir).Get(id("a"))
	require.NoError(t, err)
	require.Equal(t, entry("code a"), got)

	for name, other := range map[string]codecache.ID{
		"module": id("b"),
		"engine": {Module: id("a").Module, Engine: "x", Target: "t"},
		"target": {Module: id("a").Module, Engine: "e", Target: "x"},
	} {
		_, err := s.Get(other)
		require.ErrorIs(t, err, fs.ErrNotExist, name)
	}
}

func entryFile(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.entry"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	return files[0]
}

func TestStore_tampered(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(b []byte) []byte{
		"code":      func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"name":      func(b []byte) []byte { b[40] ^= 1; return b },
		"mac":       func(b []byte) []byte { b[0] ^= 1; return b },
		"truncated": func(b []byte) []byte { return b[:len(b)-1] },
		"empty":     func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.Chmod(dir, 0o700))
			s := open(t, dir)
			require.NoError(t, s.Put(id("a"), entry("some code")))
			path := entryFile(t, dir)
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, change(b), 0o600))
			_, err = s.Get(id("a"))
			require.ErrorIs(t, err, codecache.ErrTampered)
			require.NoFileExists(t, path)
		})
	}
}

func TestStore_swapped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	s := open(t, dir)
	require.NoError(t, s.Put(id("a"), entry("for a")))
	a := entryFile(t, dir)
	forA, err := os.ReadFile(a)
	require.NoError(t, err)
	require.NoError(t, os.Remove(a))
	require.NoError(t, s.Put(id("b"), entry("for b")))
	require.NoError(t, os.WriteFile(entryFile(t, dir), forA, 0o600))
	_, err = s.Get(id("b"))
	require.ErrorIs(t, err, codecache.ErrTampered, "an authentic entry of another module")
}

func TestOpen_refusesShared(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing on Windows")
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o777))
	_, err := codecache.Open(dir)
	require.ErrorContains(t, err, "others must not have access")

	require.NoError(t, os.Chmod(dir, 0o700))
	_, err = codecache.Open(dir)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(filepath.Join(dir, "key"), 0o644))
	_, err = codecache.Open(dir)
	require.ErrorContains(t, err, "others must not have access")
}

func TestStore_evicts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	s := open(t, dir)
	codecache.SetSize(s, 3*(1000+64))
	code := strings.Repeat("x", 1000)
	for i, name := range []string{"a", "b", "c"} {
		require.NoError(t, s.Put(id(name), entry(code)))
		used := time.Now().Add(time.Duration(i-10) * time.Hour)
		require.NoError(t, os.Chtimes(codecache.Path(s, id(name)), used, used))
	}
	_, err := s.Get(id("a")) // now the most recently used
	require.NoError(t, err)
	require.NoError(t, s.Put(id("d"), entry(code)))
	_, err = s.Get(id("d"))
	require.NoError(t, err, "the entry just stored stays")
	_, err = s.Get(id("a"))
	require.NoError(t, err, "a recently used entry stays")
	_, err = s.Get(id("b"))
	require.ErrorIs(t, err, fs.ErrNotExist, "the least recently used entry goes")
}

func TestStore_hammer(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cache")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := codecache.Open(dir)
			if !assertNoError(t, err) {
				return
			}
			for _, name := range []string{"a", "b", "a", "c"} {
				if !assertNoError(t, s.Put(id(name), entry("code "+name))) {
					return
				}
				got, err := s.Get(id(name))
				if !assertNoError(t, err) {
					return
				}
				if string(got.Code) != "code "+name {
					t.Errorf("entry %s holds %q", name, got.Code)
				}
			}
		})
	}
	wg.Wait()
}

func assertNoError(t *testing.T, err error) bool {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
	return err == nil
}
