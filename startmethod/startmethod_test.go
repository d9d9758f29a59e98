package startmethod_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/startmethod"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]startmethod.Method{
		"fresh": startmethod.Fresh, "Fresh": startmethod.Fresh, "FRESH": startmethod.Fresh,
		"precompiled": startmethod.Precompiled, "PreCompiled": startmethod.Precompiled,
		"spawn": startmethod.Fresh, "Spawn": startmethod.Fresh,
		"loky": startmethod.Precompiled, "LOKY": startmethod.Precompiled,
	} {
		got, err := startmethod.Parse(name)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
}

func TestParse_unknown(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "fork", "forkserver", " fresh", "fresh ", "fresh\n", "spawn,loky", "ſpawn"} {
		m, err := startmethod.Parse(name)
		require.ErrorContains(t, err, "known: fresh, precompiled", "%q", name)
		require.Empty(t, m)
		require.NotContains(t, err.Error(), "\n")
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	methods := startmethod.Methods()
	require.Equal(t, []startmethod.Method{startmethod.Fresh, startmethod.Precompiled}, methods)
	require.Contains(t, methods, startmethod.Default)
	for _, m := range methods {
		require.True(t, m.Valid())
		got, err := startmethod.Parse(string(m))
		require.NoError(t, err)
		require.Equal(t, m, got)
	}
	methods[0] = "changed"
	require.Equal(t, startmethod.Fresh, startmethod.Methods()[0], "the list is the caller's own")
}

func TestMethod_Valid(t *testing.T) {
	t.Parallel()
	for _, m := range []startmethod.Method{"", "spawn", "loky", "FRESH", "warm"} {
		require.False(t, m.Valid(), "%q", m)
	}
}
