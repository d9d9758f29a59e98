package hostile_test

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mostGrowth is how much heap may remain of what a test has done, in bytes. An
// executor that still lives keeps the modules it has seen.
const mostGrowth = 64 << 20

// status returns a size from what the system says of this process, if it does.
func status(name string) (bytes uint64, ok bool) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, name+":"); found {
			kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err == nil
		}
	}
	return 0, false
}

// heap returns the bytes that are in use once garbage is gone.
func heap() uint64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// bound checks, at the end of a test that runs alone, that it has left no heap behind.
func bound(t *testing.T) {
	t.Helper()
	before := heap()
	t.Cleanup(func() {
		after := heap()
		t.Logf("heap of %d KiB before, %d KiB after", before>>10, after>>10)
		require.Less(t, after, before+mostGrowth)
	})
}
