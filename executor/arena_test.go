package executor_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
)

// Inputs and outputs that are large enough for the arena and small enough to be handed to
// a worker ahead of their turn stay what they are, though the guest reads its input late.
func TestArena_ahead(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	late := raw{Module: newModule(t, "late", guesttest.TinyLateEcho(50_000)), Name: "late"}
	const calls = 3000
	sizes := []int{5 << 10, 6 << 10, 4<<10 - 2, 4 << 10, 9 << 10, 100, 5 << 10}
	input := func(i int) []byte { return bytes.Repeat([]byte{byte(i), byte(i >> 8)}, sizes[i%len(sizes)]/2) }
	i := 0
	for out, err := range executor.Map(context.Background(), ex, late, func(yield func([]byte) bool) {
		for n := range calls {
			if !yield(input(n)) {
				return
			}
		}
	}) {
		require.NoError(t, err)
		require.True(t, bytes.Equal(input(i), out), "call %d", i)
		i++
	}
	require.Equal(t, calls, i)
}
