package engine_test

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandpool/sandpool/internal/engine"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	require.NotEmpty(t, engine.Version())
	require.Equal(t, engine.Version(), engine.Version())
}

func TestTarget(t *testing.T) {
	t.Parallel()
	want := engine.Target()
	require.Contains(t, want, runtime.GOOS+"/"+runtime.GOARCH+" ")
	require.Contains(t, want, "Has", "CPU features by name")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got := engine.Target(); got != want {
				t.Errorf("%q, then %q", want, got)
			}
		})
	}
	wg.Wait()
}

func TestFeatures(t *testing.T) {
	t.Parallel()
	require.Equal(t, api.CoreFeaturesV2, engine.Features)
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	// A test binary has no module information, so programs go by their contents.
	self := engine.Identity("")
	require.Equal(t, self, engine.Identity(""))
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	require.NoError(t, os.WriteFile(a, []byte("program"), 0o600))
	require.NoError(t, os.WriteFile(b, []byte("program"), 0o600))
	require.Equal(t, engine.Identity(a), engine.Identity(b))
	require.NotEqual(t, self, engine.Identity(a))
	gone := filepath.Join(t.TempDir(), "gone")
	require.NotEqual(t, engine.Identity(gone), engine.Identity(gone), "what cannot be read is like nothing else")
}
