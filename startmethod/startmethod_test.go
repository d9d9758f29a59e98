package startmethod_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/startmethod"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]startmethod.Method{
		"fresh": startmethod.Fresh, "Fresh": startmethod.Fresh, "FRESH": startmethod.Fresh,
		"precompiled": startmethod.Precompiled, "PreCompiled": startmethod.Precompiled,
		"snapshot": startmethod.Snapshot, "SnapShot": startmethod.Snapshot, "warm": startmethod.Warm, "WARM": startmethod.Warm,
		"spawn": startmethod.Fresh, "Spawn": startmethod.Fresh,
		"loky": startmethod.Precompiled, "LOKY": startmethod.Precompiled,
		"loky_init_main": startmethod.LokyInitMain, "Loky_Init_Main": startmethod.LokyInitMain,
		"loky_int_main": startmethod.LokyInitMain, "LOKY_INT_MAIN": startmethod.LokyInitMain,
	} {
		for _, parse := range []func(string) (startmethod.Method, error){startmethod.Parse, startmethod.ParseWithoutFork} {
			got, err := parse(name)
			require.NoError(t, err, name)
			require.Equal(t, want, got, name)
		}
	}
}

func TestParse_fork(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"fork", "Fork", "forkserver", "FORKSERVER"} {
		_, err := startmethod.ParseWithoutFork(name)
		require.EqualError(t, err, `start method "`+strings.ToLower(name)+`" does not exist on Windows (known: fresh, precompiled, snapshot, warm)`)
		m, err := startmethod.Parse(name)
		if runtime.GOOS == "windows" {
			require.Error(t, err)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, startmethod.Snapshot, m)
	}
}

func TestParse_unknown(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", "sideways", " fresh", "fresh ", "fresh\n", "spawn,loky", "ſpawn", "loky-init-main", "init_main", "\xff", strings.Repeat("x", 1<<20),
	} {
		m, err := startmethod.Parse(name)
		require.ErrorContains(t, err, "known: fresh, precompiled, snapshot, warm", "%.64q", name)
		require.Empty(t, m)
		require.NotContains(t, err.Error(), "\n")
		require.Less(t, len(err.Error()), 512)
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	methods := startmethod.Methods()
	require.Equal(t, []startmethod.Method{startmethod.Fresh, startmethod.Precompiled, startmethod.Snapshot, startmethod.Warm}, methods)
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
	require.True(t, startmethod.LokyInitMain.Valid())
	require.NotContains(t, startmethod.Methods(), startmethod.LokyInitMain)
	for _, m := range []startmethod.Method{"", "spawn", "loky", "fork", "loky_int_main", "FRESH", "sideways"} {
		require.False(t, m.Valid(), "%q", m)
	}
}
