package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSmoke runs a row of one call with the program as it is built, since workers
// want to be built as their host is: a test's binary does not say what it is made of.
func TestSmoke(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds all contenders")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	dir := t.TempDir()
	program := filepath.Join(dir, "bench")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = exec.CommandContext(ctx, program, "run", "--rows", "latency-64,speed-up,crash", "--box", "1ms", "--rounds", "1", "--out", dir).CombinedOutput()
	require.NoError(t, err, string(out))
	r, err := readResults(filepath.Join(dir, "results.json"))
	require.NoError(t, err)
	seen := make(map[string]bool)
	for _, n := range r.Missing {
		t.Logf("missing: %s: %s", n.Who, n.Why)
		require.NotEmpty(t, n.Why)
		seen[n.Who] = true
	}
	for _, row := range r.Rows {
		require.NotEmpty(t, row.Cells)
		for _, c := range row.Cells {
			require.Empty(t, c.Error, "%s in %s", c.label(), row.Name)
			require.Positive(t, c.Median, "%s in %s", c.label(), row.Name)
			seen[c.Contender] = true
		}
		for _, n := range row.Absent {
			require.NotEmpty(t, n.Why, "%s in %s", n.Who, row.Name)
		}
	}
	for _, c := range contenders() {
		require.True(t, seen[c.name()], "%s is in no cell and no notice", c.name())
	}
	require.FileExists(t, filepath.Join(dir, "results.md"))
	require.FileExists(t, filepath.Join(dir, "charts", "latency-64.svg"))
}
