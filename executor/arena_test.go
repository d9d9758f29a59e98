package executor_test

import (
	"bytes"
	"context"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

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

// Payloads are what they are, however long, whichever way the guest reads and writes them:
// several windows of the arena, and pieces across their ends.
func TestArena_large(t *testing.T) {
	t.Parallel()
	const pages = 450
	ex := newExecutor(t, executor.Options{Workers: 2})
	data := make([]byte, pages<<16)
	random := rand.NewChaCha8([32]byte{2})
	_, _ = random.Read(data)
	sizes := []int{4 << 10, 100_000, 1 << 20, 2<<20 + 1, 8<<20 - 1, 8 << 20, 8<<20 + 1, 20_000_001, pages << 16}
	const all = math.MaxInt32
	for _, way := range []struct{ in, out int32 }{
		{all, all}, {1 << 20, 1 << 20}, {70_000, 70_000}, {-(3 << 20), 5 << 20}, {all, 2<<20 - 1}, {9 << 20, 9 << 20}, {8 << 20, 8 << 20},
	} {
		fn := raw{Module: newModule(t, "pieces", guesttest.TinyPieces(pages, way.in, way.out)), Name: "pieces"}
		for _, size := range sizes {
			out, err := call(t, ex, fn, data[:size])
			require.NoError(t, err)
			require.True(t, bytes.Equal(data[:size], out), "%d bytes, %+v", size, way)
		}
		var inputs iter.Seq[[]byte] = func(yield func([]byte) bool) {
			for i := range 20 {
				if !yield(data[:sizes[i%6]]) {
					return
				}
			}
		}
		i := 0
		for out, err := range executor.Map(t.Context(), ex, fn, inputs) {
			require.NoError(t, err)
			require.True(t, bytes.Equal(data[:sizes[i%6]], out), "%d, %+v", i, way)
			i++
		}
	}
}

// The same for what a guest passes to a host function and is answered.
func TestArena_host(t *testing.T) {
	t.Parallel()
	data := make([]byte, 20_000_001)
	random := rand.NewChaCha8([32]byte{3})
	_, _ = random.Read(data)
	host, err := executor.NewHostModule(executor.HostFunc("turn", func(_ context.Context, in []byte) ([]byte, error) {
		out := bytes.Clone(in)
		slices.Reverse(out)
		return out, nil
	}))
	require.NoError(t, err)
	ex := newExecutor(t, executor.Options{Workers: 1, Host: host})
	fn := raw{Module: newModule(t, "hostcall", guesttest.TinyHostCall("turn")), Name: "hostcall", Grants: executor.Grants{Host: []string{"turn"}}}
	for _, size := range []int{0, 100, 4 << 10, 5 << 20, 8 << 20, len(data), 7} {
		out, err := call(t, ex, fn, data[:size])
		require.NoError(t, err)
		slices.Reverse(out)
		require.True(t, bytes.Equal(data[:size], out), size)
	}
}

// An output that was sent, or waits to be, is nobody's when the call fails after it, and not
// the next call's.
func TestArena_failed(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, Limits: executor.Limits{Output: 21 << 20}})
	fn := raw{Module: newModule(t, "pieces", guesttest.TinyPieces(450, 1<<20, 1<<20)), Name: "pieces"}
	big := raw{Module: newModule(t, "pieces", guesttest.TinyPieces(450, 1<<20, 3<<20)), Name: "pieces"}
	for _, fn := range []raw{fn, big} {
		for _, most := range []int64{5 << 20, 21 << 20} {
			fn.Limits.Output = most
			in := bytes.Repeat([]byte("failing"), int(most)/7+3)
			_, err := call(t, ex, fn, in)
			require.ErrorIs(t, err, &executor.LimitError{Limit: "output"})
			for _, size := range []int{10, 5000, 3 << 20} {
				in := bytes.Repeat([]byte("x"), size)
				out, err := call(t, ex, fn, in)
				require.NoError(t, err)
				require.True(t, bytes.Equal(in, out))
			}
		}
	}
}

// A call that is given up while its guest still reads or writes leaves its worker fit for the
// next.
func TestArena_cancelled(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	fn := raw{Module: newModule(t, "pieces", guesttest.TinyPieces(450, 100_000, 3<<20)), Name: "pieces"}
	in := bytes.Repeat([]byte("0123456789"), 2_900_000)
	_, err := call(t, ex, fn, in)
	require.NoError(t, err)
	for i := range 60 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond/2)
		out, err := executor.Submit(ctx, ex, fn, in).Wait(t.Context())
		cancel()
		if err == nil {
			require.True(t, bytes.Equal(in, out))
		} else {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
	}
	out, err := call(t, ex, fn, in)
	require.NoError(t, err)
	require.True(t, bytes.Equal(in, out))
	require.Zero(t, ex.Stats().WorkersDied)
}
