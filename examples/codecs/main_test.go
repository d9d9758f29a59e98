package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
)

// TestCodecs builds and runs the program as its comment shows it.
func TestCodecs(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the program that it builds has no race detector")
	}
	program := filepath.Join(t.TempDir(), "codecs.exe")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.CommandContext(t.Context(), program, guesttest.BuildDir(t, "guest")).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, `by the executor's codec, cbor: 127.00
by the function's codec, json: 127.00
this value by json, its result by cbor: 127.00
refused: decode main.money with json: restore main.money: negative money
refused: Func.Codec: no codec "bson"; there are cbor, json, raw, and others once their package is imported
`, string(out))
}
