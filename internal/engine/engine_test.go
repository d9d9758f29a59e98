package engine_test

import (
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
