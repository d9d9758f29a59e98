package executor_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/benchtest"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

var deadlineRounds = flag.Int("deadline.rounds", 20, "BenchmarkDeadline: calls of each kind")

const deadlineWall = 30 * time.Millisecond

// BenchmarkDeadline measures how late deadlines are met, from the caller's side, and how
// soon the worker has served another call after that, and prints a table: make bench-limits.
func BenchmarkDeadline(b *testing.B) {
	ex, err := executor.New(&executor.Options{Workers: 1, CacheDir: executor.NoCacheDir, Host: waiting(nil, nil)})
	require.NoError(b, err)
	defer func() { require.NoError(b, ex.Close()) }()
	load := func(start bool) *serialize.Module {
		m, err := serialize.NewModule("limits", guesttest.TinyLimits(start, false))
		require.NoError(b, err)
		return m
	}
	good, start := load(false), load(true)
	for b.Loop() {
		fmt.Printf("\nHow late a deadline of %v is met; load %s\n", deadlineWall, benchtest.Load())
		for _, c := range []struct {
			name   string
			module *serialize.Module
			what   byte
		}{
			{"endless loop", good, guesttest.LimitsSpin},
			{"memory.grow loop", good, guesttest.LimitsGrow},
			{"memory.fill loop", good, guesttest.LimitsFill},
			{"sleep", good, guesttest.LimitsSleep},
			{"blocked host function", good, guesttest.LimitsHost},
			{"endless start function", start, guesttest.LimitsCount},
		} {
			fn := raw{Module: c.module, Name: "limits", StartMethod: startmethod.Precompiled}
			fn.Grants.Host = []string{"wait"}
			next := raw{Module: good, Name: "limits"}
			_, err := executor.Submit(b.Context(), ex, next, []byte{guesttest.LimitsCount}).Wait(b.Context())
			require.NoError(b, err)
			var late, after benchtest.Series
			for i := range *deadlineRounds + 1 {
				fn.Limits.Wall = deadlineWall
				began := time.Now()
				_, err := executor.Submit(context.Background(), ex, fn, []byte{c.what}).Wait(b.Context())
				over := time.Since(began) - deadlineWall
				require.True(b, errors.Is(err, &executor.LimitError{Limit: "wall"}), "%v", err)
				began = time.Now()
				_, err = executor.Submit(b.Context(), ex, next, []byte{guesttest.LimitsCount}).Wait(b.Context())
				require.NoError(b, err)
				if i > 0 { // the first has loaded the module
					late.Add(over)
					after.Add(time.Since(began))
				}
			}
			fmt.Printf("| %s | %s | %s | %s | %s |\n", c.name, benchtest.Time(late.Min()), benchtest.Time(late.Median()), benchtest.Time(late.P99()), benchtest.Time(after.Median()))
		}
		late := lateInitializer(b, good)
		fmt.Printf("| endless initializer | %s | %s | %s | |\n", benchtest.Time(late.Min()), benchtest.Time(late.Median()), benchtest.Time(late.P99()))
		fmt.Printf("workers killed: %d\n", ex.Stats().WorkersKilled)
	}
}

// lateInitializer is the row of an initializer without an end. After a few failures in a
// row a module has to wait for its next try, and no call of that executor is served: each
// has one of its own, with a worker that has loaded the module.
func lateInitializer(b *testing.B, m *serialize.Module) (late benchtest.Series) {
	b.Helper()
	for range *deadlineRounds {
		ex, err := executor.New(&executor.Options{
			Workers: 1, CacheDir: guesttest.CodeCache(b), Host: waiting(nil, nil), StartMethod: startmethod.Precompiled,
			Initializer: executor.Initializer{Name: "limits", Input: []byte{guesttest.LimitsSpin}},
		})
		require.NoError(b, err)
		require.NoError(b, ex.Prewarm(b.Context(), 1, m))
		fn := raw{Module: m, Name: "limits", StartMethod: startmethod.Precompiled}
		fn.Limits.Wall = deadlineWall
		began := time.Now()
		_, err = executor.Submit(b.Context(), ex, fn, []byte{guesttest.LimitsCount}).Wait(b.Context())
		late.Add(time.Since(began) - deadlineWall)
		require.True(b, errors.Is(err, &executor.LimitError{Limit: "wall"}), "%v", err)
		require.NoError(b, ex.Close())
	}
	return late
}
