package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
)

// TestHotswap builds and runs the program as its comment shows it.
func TestHotswap(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the program that it builds has no race detector")
	}
	program := filepath.Join(t.TempDir(), "hotswap.exe")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	v1, v2 := guesttest.BuildDir(t, "guest/v1"), guesttest.BuildDir(t, "guest/v2")
	out, err = exec.CommandContext(t.Context(), program, v1, v2).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, line := range []string{
		`swap 1: v2 asks for 900 cents$`,
		`swap 2: v1 asks for 1000 cents$`,
		`swap 10: v1 asks for 1000 cents$`,
		`[1-9][0-9]* calls meanwhile, 0 failed$`,
	} {
		require.Regexp(t, `(?m)^`+line, string(out))
	}
}
