package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
)

// TestHello builds and runs the program as the README shows it.
func TestHello(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the program that it builds has no race detector")
	}
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "hello.exe"), ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	wasm, err := os.ReadFile(guesttest.BuildDir(t, "guest"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hello.wasm"), wasm, 0o600))
	cmd := exec.CommandContext(t.Context(), "./hello.exe")
	cmd.Dir = dir
	out, err = cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "map[be:2 not:1 or:1 to:2] <nil>\n", string(out))
}

// TestREADME holds the README's Go blocks against the sources.
func TestREADME(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	require.Len(t, blocks, 2)
	for i, file := range []string{"main.go", "guest/main.go"} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		require.True(t, strings.HasSuffix(string(source), blocks[i][1]), "README block %d is not the end of %s", i, file)
	}
}
