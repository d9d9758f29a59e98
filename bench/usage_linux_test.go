package main

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCPUNow(t *testing.T) {
	t.Parallel()
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
