package wasmbin_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/wasmbin"
)

// TestBare_corpus strips every module of the corpus that the runtime compiles: it compiles
// without code too, and has the same imports and exports.
func TestBare_corpus(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	files := allModules(t)
	stripped := 0
	from := make(map[string]string)
	for name, b := range files {
		before, err := wasmbin.Scan(b)
		if err != nil {
			continue
		}
		if compiled, err := rt.CompileModule(t.Context(), b); err != nil {
			continue
		} else {
			require.NoError(t, compiled.Close(t.Context()))
		}
		bare, err := wasmbin.Bare(b)
		require.NoError(t, err, name)
		after, err := wasmbin.Scan(bare)
		require.NoError(t, err, name)
		require.Equal(t, before.Imports, after.Imports, name)
		require.Equal(t, before.Exports, after.Exports, name)
		require.Contains(t, after.CustomSections, wasmbin.BareName)
		compiled, err := rt.CompileModule(t.Context(), bare)
		require.NoError(t, err, name)
		require.NoError(t, compiled.Close(t.Context()))
		if other, ok := from[string(bare)]; ok {
			require.Equal(t, files[other], b, "%s and %s", name, other)
		}
		from[string(bare)] = name
		stripped++
	}
	require.Greater(t, stripped, 2500)
	b := files["fixture"]
	bare, err := wasmbin.Bare(b)
	require.NoError(t, err)
	require.Less(t, len(bare), len(b)/2)
}

// Modules that differ in their code alone stay different, and what they were made of is the
// only thing that tells.
func TestBare_different(t *testing.T) {
	t.Parallel()
	one, err := wasmbin.Bare(guesttest.TinyTrap())
	require.NoError(t, err)
	again, err := wasmbin.Bare(guesttest.TinyTrap())
	require.NoError(t, err)
	require.Equal(t, one, again)
	const added = 32
	twice, err := wasmbin.Bare(one)
	require.NoError(t, err)
	require.Equal(t, one[:len(one)-added], twice[:len(twice)-added])
	require.NotEqual(t, one, twice)
}
