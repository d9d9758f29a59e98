package executor_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

const maxCPUs = "SANDPOOL_MAX_CPU_COUNT"

func TestC1_CPUCount(t *testing.T) {
	n, cores := executor.CPUCount(), executor.PhysicalCPUCount()
	require.GreaterOrEqual(t, n, 1)
	require.GreaterOrEqual(t, cores, 1)
	require.LessOrEqual(t, cores, n)
}

func TestC6_CPUCount_variable(t *testing.T) {
	t.Setenv(maxCPUs, "")
	n, cores := executor.CPUCount(), executor.PhysicalCPUCount()
	t.Setenv(maxCPUs, "1")
	require.Equal(t, 1, executor.CPUCount())
	require.Equal(t, 1, executor.PhysicalCPUCount())
	t.Setenv(maxCPUs, "1000000")
	require.Equal(t, n, executor.CPUCount(), "the variable only lowers")
	require.Equal(t, cores, executor.PhysicalCPUCount())
}

func TestCPUCount_wrongVariable(t *testing.T) {
	t.Setenv(maxCPUs, "")
	n, err := executor.CheckedCPUCount()
	require.NoError(t, err)
	for _, value := range []string{"0", "-2", "many", "2.5"} {
		t.Setenv(maxCPUs, value)
		require.Equal(t, n, executor.CPUCount(), "ignored")
		counted, err := executor.CheckedCPUCount()
		require.Equal(t, n, counted)
		var option *executor.OptionError
		require.ErrorAs(t, err, &option)
		require.Equal(t, maxCPUs, option.Option)
		require.EqualError(t, err, maxCPUs+`: "`+value+`" is not a positive integer`)
	}
}

func BenchmarkCPUCount(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = executor.CPUCount()
	}
}
