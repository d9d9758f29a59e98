package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
)

// TestSigned builds and runs the program as its comment shows it.
func TestSigned(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the program that it builds has no race detector")
	}
	program := filepath.Join(t.TempDir(), "signed.exe")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.CommandContext(t.Context(), program, guesttest.BuildDir(t, "../hello/guest")).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, line := range []string{
		`signed:   map\[be:2 not:1 or:1 to:2\]$`,
		`unsigned: module "hello": not trusted: it was loaded without a signature, and the executor has trusted keys`,
		`altered:  module "hello": not trusted: no trusted key matches: none of 1 has signed sha256:[0-9a-f]{64}`,
	} {
		require.Regexp(t, `(?m)^`+line, string(out))
	}
}
