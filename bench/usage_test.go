package main

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCPUUse_since(t *testing.T) {
	t.Parallel()
	before := cpuUse{self: 100, reaped: 10, running: map[int]time.Duration{1: 50, 2: 30}}
	after := cpuUse{
		self:   130,
		reaped: 10 + 34, // process 2 has ended: it had 30 and has used 4 more
		running: map[int]time.Duration{
			1: 57,
			3: 5, // is new
		},
	}
	host, workers := after.since(before, os.Getpid())
	require.EqualValues(t, 30, host)
	require.EqualValues(t, 7+5+4, workers)

	host, workers = after.since(before, 1)
	require.EqualValues(t, 7, host, "a contender's caller is in process 1")
	require.EqualValues(t, 5+4, workers)

	_, workers = before.since(before, os.Getpid())
	require.Zero(t, workers)
}

func TestProcessMemory(t *testing.T) {
	t.Parallel()
	m, err := processMemory(os.Getpid())
	if runtime.GOOS != "linux" {
		require.Error(t, err)
		return
	}
	require.NoError(t, err)
	require.Positive(t, m.Pss)
	require.Positive(t, m.Anonymous)
}
