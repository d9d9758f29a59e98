package wasmbin_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/wasmbin"
)

// guest is testdata/guest, built once per run as a reactor. The first build of
// the standard library for that target takes a while; the cache keeps it.
var guest = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "wasmbin")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "guest.wasm")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-buildmode=c-shared", "-o", file, ".")
	cmd.Dir = filepath.Join("testdata", "guest")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the guest: %w\n%s", err, out)
	}
	return os.ReadFile(file)
})

// TestScan_goGuest scans what Go's own compiler and linker emit.
func TestScan_goGuest(t *testing.T) {
	t.Parallel()
	b, err := guest()
	require.NoError(t, err)
	m, err := wasmbin.Scan(b)
	require.NoError(t, err)

	require.Equal(t, "(i32, i32) -> (i32)", m.Export("add").Func.String())
	require.Equal(t, "(f64, f64) -> (f64)", m.Export("hypot").Func.String())
	require.Equal(t, "() -> ()", m.Export("_initialize").Func.String())
	require.Equal(t, wasmbin.KindMemory, m.Export("memory").Kind)
	require.False(t, m.Memory.Imported)
	require.Positive(t, m.Memory.Min)
	require.Contains(t, m.CustomSections, "producers")
	require.Empty(t, m.Features)
	imports := map[string]int{}
	for _, imp := range m.Imports {
		require.Equal(t, wasmbin.KindFunc, imp.Kind)
		imports[imp.Module]++
		if imp.Module == "env" {
			require.Equal(t, "log", imp.Name)
			require.Equal(t, "(i64) -> ()", imp.Func.String())
		}
	}
	require.Equal(t, 1, imports["env"])
	require.Positive(t, imports["wasi_snapshot_preview1"])
	t.Logf("%d bytes, %d functions, %d bytes of code, %d data segments",
		len(b), m.Functions, m.CodeSize, m.DataSegments)
}

// BenchmarkScan scans a module of Go.
func BenchmarkScan(b *testing.B) {
	module, err := guest()
	require.NoError(b, err)
	b.SetBytes(int64(len(module)))
	b.ReportAllocs()
	for b.Loop() {
		_, err := wasmbin.Scan(module)
		require.NoError(b, err)
	}
}
