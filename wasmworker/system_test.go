package wasmworker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/wasmworker"
)

// TestNanotime runs alone: it counts allocations.
func TestNanotime(t *testing.T) {
	last := wasmworker.Nanotime()
	for range 1000 {
		now := wasmworker.Nanotime()
		require.GreaterOrEqual(t, now, last)
		last = now
	}
	require.Zero(t, testing.AllocsPerRun(10, func() { wasmworker.Nanotime(); wasmworker.Walltime() }))
}

func TestWalltime(t *testing.T) {
	t.Parallel()
	before := time.Now()
	sec, nsec := wasmworker.Walltime()
	require.WithinRange(t, time.Unix(sec, int64(nsec)), before.Add(-time.Hour), time.Now().Add(time.Hour), "it may be set")
}
