package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
)

// TestCommand builds and runs the program as its comment shows it.
func TestCommand(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the program that it builds has no race detector")
	}
	program, data := filepath.Join(t.TempDir(), "command.exe"), t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	wasm := guesttest.BuildCommandDir(t, "guest")
	require.NoError(t, os.Mkdir(filepath.Join(data, "sub"), 0o700))
	for name, text := range map[string]string{"a": "hay needle hay", "b": "hay", "sub/c": "needle"} {
		require.NoError(t, os.WriteFile(filepath.Join(data, name), []byte(text), 0o600))
	}
	require.NoError(t, os.Symlink(program, filepath.Join(data, "link")))
	for text, want := range map[string]string{"needle": "a\nsub/c\nexit code 0\n", "gold": "exit code 1\n"} {
		out, err := exec.CommandContext(t.Context(), program, wasm, text, data).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, want, string(out))
	}
}
