package wasmworker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/wasmworker"
)

// TestNanotime_shared: workers agree on the clock, though they started at different
// times. The tolerance is for what lies between two readings.
func TestNanotime_shared(t *testing.T) {
	t.Parallel()
	const tolerance = int64(time.Second)
	before := wasmworker.SharedClock()
	now := wasmworker.Nanotime()
	after := wasmworker.SharedClock()
	require.Positive(t, before)
	require.Greater(t, now, before-tolerance)
	require.Less(t, now, after+tolerance)
}
