package wasi_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// busy are calls that a guest may make without end.
var busy = []struct {
	name string
	args []uint64
}{
	{"fd_write", []uint64{1, 256, 2, 128}},
	{"fd_read", []uint64{0, 256, 2, 128}},
	{"fd_fdstat_get", []uint64{1, 1024}},
	{"clock_time_get", []uint64{0, 0, 1024}},
	{"clock_time_get", []uint64{1, 0, 1024}},
	{"random_get", []uint64{1024, 32 << 10}},
	{"poll_oneoff", []uint64{512, 1024, 3, 128}},
	{"environ_get", []uint64{1024, 2048}},
	{"path_open", []uint64{3, 0, 0, 1, 0, 0, 0, 0, 8}},
	{"fd_close", []uint64{9}},
	{"fd_write", []uint64{1, 1 << 30, 1 << 30, 128}},
}

// newBusy is a guest whose calls to busy do something, and its host nothing.
func newBusy(tb testing.TB, pages uint32) guest {
	tb.Helper()
	w := newWorld()
	w.Stdout = writerFunc(func(p []byte) (int, error) { return len(p), nil })
	w.Random, w.Sleep = func([]byte) {}, func(int64) {}
	g := newGuestOf(tb, w, pages)
	if pages > 0 {
		g.iovecs(256, 0, 5, 3, 4)
		copy(g.memory()[512:], clockSub(mono, 5, 0))
		copy(g.memory()[560:], clockSub(real, worldReal+5, abs))
		copy(g.memory()[608:], clockSub(mono, worldMono+9, abs))
	}
	return g
}

// TestAllocations runs alone: it counts those of the whole process.
func TestAllocations(t *testing.T) {
	for _, pages := range []uint32{1, 0} {
		g := newBusy(t, pages)
		for _, tc := range busy {
			f := g.mod.ExportedFunction(tc.name)
			stack := make([]uint64, len(tc.args))
			require.Zero(t, testing.AllocsPerRun(100, func() {
				copy(stack, tc.args)
				if err := f.CallWithStack(context.Background(), stack); err != nil {
					t.Error(err)
				}
			}), tc.name)
		}
	}
}

func BenchmarkFunctions(b *testing.B) {
	g := newBusy(b, 1)
	for _, tc := range busy[:7] {
		f := g.mod.ExportedFunction(tc.name)
		stack := make([]uint64, len(tc.args))
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				copy(stack, tc.args)
				if err := f.CallWithStack(b.Context(), stack); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
