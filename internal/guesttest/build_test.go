package guesttest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
)

func TestBuild(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	paths := make([]string, 4)
	for i := range paths {
		wg.Go(func() { paths[i] = guesttest.Build(t, "fixture") }) // exits when built
	}
	wg.Wait()
	for _, path := range paths {
		require.Equal(t, paths[0], path)
	}
	require.Equal(t, guesttest.Header(), guesttest.Bytes(t, "fixture")[:8])
	require.Equal(t, paths[0], guesttest.BuildDir(t, filepath.Join("testdata", "fixture")), "same build IDs, same file")
	entries, err := filepath.Glob(filepath.Join(filepath.Dir(paths[0]), "build-*[0-9].wasm"))
	require.NoError(t, err)
	require.Empty(t, entries, "no temporary file is left")
}

// recorder takes the place of a test that fails.
type recorder struct {
	testing.TB
	text string
}

func (r *recorder) Fatal(args ...any) {
	r.text = fmt.Sprint(args...)
	runtime.Goexit()
}

func TestBuildDir_compilerError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module broken\n\ngo 1.26\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() { undefinedName() }\n"), 0o600))
	r := &recorder{TB: t}
	var wg sync.WaitGroup
	wg.Go(func() { guesttest.BuildDir(r, dir) }) // exits by Fatal
	wg.Wait()
	require.Contains(t, r.text, "undefined: undefinedName")
}
