package startmethod_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/startmethod"
)

// unset leaves the process without a default for the test, and afterwards. The
// test cannot be parallel.
func unset(t *testing.T) {
	t.Helper()
	t.Setenv(startmethod.Variable, "")
	require.NoError(t, startmethod.SetDefault("", true))
	t.Cleanup(func() { require.NoError(t, startmethod.SetDefault("", true)) })
}

func requireDefault(t *testing.T, want startmethod.Method) {
	t.Helper()
	got, err := startmethod.Default()
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestDefault_builtin(t *testing.T) {
	unset(t)
	m, err := startmethod.Default()
	require.NoError(t, err)
	require.Contains(t, startmethod.Methods(), m)
	require.NotEqual(t, startmethod.Warm, m)
}

func TestDefault_variable(t *testing.T) {
	unset(t)
	builtin, err := startmethod.Default()
	require.NoError(t, err)
	for value, want := range map[string]startmethod.Method{
		"fresh": startmethod.Fresh, "Spawn": startmethod.Fresh, "precompiled": startmethod.Precompiled,
		"LOKY": startmethod.Precompiled, "loky_int_main": startmethod.LokyInitMain,
	} {
		t.Setenv(startmethod.Variable, value)
		requireDefault(t, want)
	}
	for _, value := range []string{"sideways", " fresh", "fresh\n", "fresh,loky", strings.Repeat("x", 1<<16)} {
		t.Setenv(startmethod.Variable, value)
		m, err := startmethod.Default()
		require.ErrorContains(t, err, "unknown start method", "%.64q", value)
		require.ErrorContains(t, err, "known: fresh, precompiled")
		require.Less(t, len(err.Error()), 512)
		require.Equal(t, builtin, m)
	}
	require.NoError(t, startmethod.SetDefault(startmethod.Fresh, false))
	requireDefault(t, startmethod.Fresh)
	require.NoError(t, startmethod.SetDefault("", true))
	t.Setenv(startmethod.Variable, "loky")
	requireDefault(t, startmethod.Precompiled)
}

func TestSetDefault(t *testing.T) {
	unset(t)
	require.NoError(t, startmethod.SetDefault("", false), "nothing to set, nothing set")
	require.NoError(t, startmethod.SetDefault(startmethod.Fresh, false))
	requireDefault(t, startmethod.Fresh)
	for _, m := range []startmethod.Method{startmethod.Fresh, startmethod.Precompiled, "", "sideways"} {
		require.ErrorIs(t, startmethod.SetDefault(m, false), startmethod.ErrDefaultSet, "%q", m)
		requireDefault(t, startmethod.Fresh)
	}
	for _, m := range []startmethod.Method{startmethod.Precompiled, startmethod.LokyInitMain, startmethod.Fresh, startmethod.Fresh} {
		require.NoError(t, startmethod.SetDefault(m, true))
		requireDefault(t, m)
	}
	t.Setenv(startmethod.Variable, "loky")
	requireDefault(t, startmethod.Fresh)
	require.NoError(t, startmethod.SetDefault("", true))
	requireDefault(t, startmethod.Precompiled)
	require.NoError(t, startmethod.SetDefault(startmethod.Fresh, false), "it was unset")
}

func TestSetDefault_unknown(t *testing.T) {
	unset(t)
	require.NoError(t, startmethod.SetDefault(startmethod.Fresh, false))
	for _, m := range []startmethod.Method{"sideways", "Fresh", "spawn", "loky_int_main", " "} {
		require.ErrorContains(t, startmethod.SetDefault(m, true), "unknown start method", "%q", m)
		requireDefault(t, startmethod.Fresh)
	}
	require.NoError(t, startmethod.SetDefault("", true))
	err := startmethod.SetDefault("sideways", false)
	require.ErrorContains(t, err, `"sideways" (known: fresh, precompiled`)
	require.NotErrorIs(t, err, startmethod.ErrDefaultSet)
	require.NoError(t, startmethod.SetDefault(startmethod.Fresh, false), "a wrong one was not set")
}

func TestSetDefault_concurrent(t *testing.T) {
	unset(t)
	methods := []startmethod.Method{startmethod.Fresh, startmethod.Precompiled}
	var won atomic.Int32
	var set atomic.Value
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if startmethod.SetDefault(methods[i%2], false) == nil {
				won.Add(1)
				set.Store(methods[i%2])
			}
			if _, err := startmethod.Default(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, won.Load())
	requireDefault(t, set.Load().(startmethod.Method))
}
