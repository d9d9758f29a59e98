package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
)

const want = `lends count_words(string) -> map[string]int
lends kv_delete(string) -> {}
lends kv_get(string) -> bytes?
lends kv_put({key: string, value: bytes}) -> {}
lends price(string) -> {cents: int, currency: string}
total: 4.60 EUR, after 2 calls of the host
without a price: function total: error: host function "price": no price for "kiwi"
without a grant: function total: error: host function "price" is not granted to this function
too many: limit hostcalls exceeded: 101 of 100
alice remembers red, before it was ""
alice remembers green, before it was "red"
bob remembers blue, before it was ""
report: 6 words, 4 different
`

// TestHostFunctions builds and runs the program as its comment shows it.
func TestHostFunctions(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the program that it builds has no race detector")
	}
	program := filepath.Join(t.TempDir(), "hostfunctions.exe")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.CommandContext(t.Context(), program, guesttest.BuildDir(t, "guest")).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, want, string(out))
}
