package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
)

// TestStartMethods builds and runs the program as its comment shows it.
func TestStartMethods(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the program that it builds has no race detector")
	}
	program := filepath.Join(t.TempDir(), "startmethods.exe")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.CommandContext(t.Context(), program, guesttest.BuildDir(t, "guest")).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, line := range []string{
		`fresh +fresh +\[1 2\] +1 +2 of 2 `,
		`precompiled +precompiled +\[1 2\] +1 +20 of 20 `,
		`snapshot +snapshot +\[1 2\] +2 +20 of 20 `, // itself and the warm-up call
		`warm +warm +\[1 2\] +21 +20 of 20 `,
	} {
		require.Regexp(t, regexp.MustCompile(`(?m)^`+line), string(out))
	}
}
