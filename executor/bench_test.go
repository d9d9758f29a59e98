package executor_test

import (
	"context"
	"fmt"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
)

func benchExecutor(b *testing.B, workers int) (*executor.Executor, raw) {
	b.Helper()
	ex, err := executor.New(&executor.Options{Workers: workers, CacheDir: guesttest.CodeCache(b)})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, ex.Close()) })
	m, err := serialize.NewModule("echo", guesttest.TinyEcho())
	require.NoError(b, err)
	return ex, raw{Module: m, Name: "echo"}
}

func BenchmarkSubmit(b *testing.B) {
	for _, size := range []int{64, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("payload=%d", size), func(b *testing.B) {
			ex, echo := benchExecutor(b, 1)
			in := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				_, err := executor.Submit(context.Background(), ex, echo, in).Wait(context.Background())
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMap(b *testing.B) {
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			ex, echo := benchExecutor(b, workers)
			b.ReportAllocs()
			in := make([]byte, 64)
			var inputs iter.Seq[[]byte] = func(yield func([]byte) bool) {
				for b.Loop() {
					if !yield(in) {
						return
					}
				}
			}
			for _, err := range executor.Map(b.Context(), ex, echo, inputs) {
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReplace makes each call in a worker of its own, of which there is none yet: to start a
// process, load a module into it and make its first instance. The module is compiled and
// has an image.
func BenchmarkReplace(b *testing.B) {
	for name, build := range map[string]func() []byte{
		"wat": guesttest.TinyEcho, "Go": func() []byte { return guesttest.Bytes(b, "fixture") },
	} {
		b.Run("guest="+name, func(b *testing.B) {
			m, err := serialize.NewModule("echo", build())
			require.NoError(b, err)
			ex, err := executor.New(&executor.Options{Workers: 1, CallsPerWorker: 1, CacheDir: guesttest.CodeCache(b)})
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, ex.Close()) })
			fn := raw{Module: m, Name: "echo"}
			call := func() {
				if _, err := executor.Submit(context.Background(), ex, fn, []byte("x")).Wait(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			call()
			for b.Loop() {
				call()
			}
		})
	}
}
