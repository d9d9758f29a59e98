package kernels_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/bench/internal/kernels"
)

func TestRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		task kernels.Task
		want uint32
	}{
		"primes below 100":   {kernels.Task{Kernel: kernels.Sieve, N: 100, Repeats: 1}, 25},
		"then below 99":      {kernels.Task{Kernel: kernels.Sieve, N: 100, Repeats: 2}, 50},
		"most primes":        {kernels.Task{Kernel: kernels.Sieve, N: kernels.MaxN, Repeats: 1}, 6542},
		"a Fibonacci number": {kernels.Task{Kernel: kernels.Fib, N: 20, Repeats: 1}, 6765},
		"nothing":            {kernels.Task{}, 0},
	} {
		out, err := kernels.Run(c.task.Input())
		require.NoError(t, err, name)
		require.Equal(t, c.want, binary.LittleEndian.Uint32(out), name)
		answer, err := c.task.Answer()
		require.NoError(t, err, name)
		require.Equal(t, out, answer, name)
	}
	_, err := kernels.Run([]byte("short"))
	require.Error(t, err)
	_, err = kernels.Run(kernels.Task{N: kernels.MaxN + 1}.Input())
	require.Error(t, err)
}
