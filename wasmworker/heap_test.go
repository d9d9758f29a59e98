package wasmworker_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/wasmworker"
)

var garbage []byte

// The test is not parallel: others would allocate meanwhile.
func TestHeapWatch_served(t *testing.T) {
	var w wasmworker.HeapWatch
	w.Served(2 * wasmworker.LookAfter) // what was allocated before
	for range 20 {
		garbage = make([]byte, 1<<20)
	}
	garbage = nil
	calls := 1
	for !w.Served(0) {
		calls++
		require.LessOrEqual(t, calls, wasmworker.LookAfter/wasmworker.CallCost+1)
	}
	require.Greater(t, calls, 1, "not after each call")
	require.False(t, w.Served(2*wasmworker.LookAfter), "nothing to collect")
}
