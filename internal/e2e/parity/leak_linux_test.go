package parity_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

// resident is a process's resident memory in bytes, 0 when there is no process.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	require.NoError(t, err)
	return pages * int64(os.Getpagesize())
}

// TestE19_leakingWorker has workers lose 3 MiB after each call. A guest cannot
// make them: its memory goes with its instance.
func TestE19_leakingWorker(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	o := withTrait(t, executor.Options{Workers: 1, WorkerGrowth: 24 * mib, GrowthCheck: time.Nanosecond}, leaks)
	ex, echo := newExecutor(t, o), echoFunc(t)
	var pids []int
	var first, most int64 // resident memory of the worker that serves
	for i := range 40 {
		f := executor.Submit(t.Context(), ex, echo, fmt.Append(nil, i))
		out, err := wait(t, f)
		require.NoError(t, err, "no call is lost")
		require.Equal(t, strconv.Itoa(i), string(out))
		pid := f.Usage().PID
		if len(pids) == 0 || pids[len(pids)-1] != pid {
			pids = append(pids, pid)
			first = resident(t, pid)
		}
		before := resident(t, pid)
		most = max(most, before-first)
		_ = prompt(pid) // which may be gone
		require.Eventually(t, func() bool {
			return resident(t, pid) >= before+2*mib || !alive(pid)
		}, hang, time.Millisecond)
	}
	require.Len(t, unique(pids), len(pids), "a worker that was replaced does not serve again")
	require.Greater(t, len(pids), 1, "120 MiB lost and never replaced")
	bound := int64(64 * mib)
	if raceEnabled {
		bound *= 5 // the race detector takes four times what it watches
	}
	require.Less(t, most, bound)
	require.NoError(t, ex.Shutdown(t.Context())) // the books are closed when it returns
	s := ex.Stats()
	require.GreaterOrEqual(t, s.WorkersRetired, uint64(len(pids)), "it is told")
	require.Equal(t, s.WorkersStarted, s.WorkersRetired)
	require.Zero(t, s.WorkersDied+s.WorkersKilled)
}
