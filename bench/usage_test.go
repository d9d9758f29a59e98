package main

import (
	"os"
	"os/exec"
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

func TestCPUNow(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("Linux only")
	}
	before, ok := cpuNow()
	require.True(t, ok)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; read x")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	require.NoError(t, awaitBusy(t.Context(), cmd.Process.Pid))
	during, ok := cpuNow()
	require.True(t, ok)
	require.GreaterOrEqual(t, during.running[cmd.Process.Pid], busyFor)
	require.NoError(t, stdin.Close())
	_ = cmd.Wait() // its read has failed
	after, ok := cpuNow()
	require.True(t, ok)
	require.NotContains(t, after.running, cmd.Process.Pid)
	_, workers := after.since(before, os.Getpid())
	require.GreaterOrEqual(t, workers, busyFor)
	require.Zero(t, cpuTime(cmd.Process.Pid))
}

func TestProcessMemory(t *testing.T) {
	t.Parallel()
	pss, anonymous, err := processMemory(os.Getpid())
	if runtime.GOOS != "linux" {
		require.Error(t, err)
		return
	}
	require.NoError(t, err)
	require.Positive(t, pss)
	require.Positive(t, anonymous)
}
