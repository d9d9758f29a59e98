package engine_test

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

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

// A program is read again when it may have changed, and not otherwise.
func TestIdentity_changes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "program")
	old := time.Now().Add(-time.Hour)
	write := func(text string, modified time.Time) string {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.NoError(t, os.Chtimes(path, modified, modified))
		return engine.Identity(path)
	}
	seen := map[string]bool{write("one", old): true}
	for name, id := range map[string]string{
		"other time, other text": write("two", old.Add(time.Second)),
		"same time, other size":  write("three", old.Add(time.Second)),
		"just now":               write("fours", time.Now()),
		"just now again":         write("fives", time.Now()),
	} {
		require.False(t, seen[id], name)
		seen[id] = true
	}
	require.NoError(t, os.Rename(path, path+" before"))
	sixth := write("sixth", old)
	require.NoError(t, os.Rename(path+" before", path))
	require.NotEqual(t, sixth, engine.Identity(path), "another file of that name")
	require.Equal(t, engine.Identity(path), engine.Identity(path))
}
