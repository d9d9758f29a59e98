package snapshot_test

import (
	cryptorand "crypto/rand"
	"fmt"
	"testing"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/snapshot"
)

// eachSize runs a benchmark for images and numbers of 4 KiB pages written to.
func eachSize(b *testing.B, modes []mode, run func(b *testing.B, m mode, wasmPages, dirty uint32)) {
	b.Helper()
	for _, size := range []struct {
		name  string
		pages uint32
	}{{"64KiB", 1}, {"256KiB", 4}, {"1MiB", 16}, {"2.4MiB", 38}, {"10MiB", 160}} {
		for _, dirty := range []uint32{1, 16, 256} {
			for _, m := range modes {
				if dirty <= size.pages*16 {
					b.Run(fmt.Sprintf("image=%s/dirty=%d/mode=%s", size.name, dirty, m.name), func(b *testing.B) {
						b.ReportAllocs()
						run(b, m, size.pages, dirty)
					})
				}
			}
		}
	}
}

func fillImage(in *instance) {
	in.call("fill", 0, 7, in.Memory.Size())
}

// BenchmarkClone makes a memory over an image, writes to pages of it, which are
// faults, and frees it.
func BenchmarkClone(b *testing.B) {
	m := modes(b)
	eachSize(b, []mode{m[0], m[len(m)-2]}, func(b *testing.B, m mode, pages, dirty uint32) {
		b.Helper()
		c := snapshot.Config{Image: m.image(b, make([]byte, pages*page)), Limit: 256 << 20, Pages: m.pages}
		for b.Loop() {
			mem := snapshot.NewMemory(c)
			mem.Allocate(0, 256<<20)
			memory := mem.Reallocate(page)
			for i := range dirty {
				memory[i*(pages*page/dirty)] = 1
			}
			mem.Free()
		}
	})
}

// BenchmarkRestore brings an instance back after writes to the same pages each
// time. Writing is part of it: 256 pages take about 1 µs.
func BenchmarkRestore(b *testing.B) {
	eachSize(b, modes(b), func(b *testing.B, m mode, pages, dirty uint32) {
		b.Helper()
		g := newGuestOf(b, m, probe(pages, guesttest.NoMax), guesttest.NoMax, 4096, fillImage)
		in := g.clone()
		defer in.close()
		memory, _ := in.Module.Memory().Read(0, pages*page)
		for b.Loop() {
			for i := range dirty {
				memory[i*(pages*page/dirty)] = 1
			}
			if in.Restore(&g.state) != nil {
				b.Fatal("not restored")
			}
		}
	})
}

// BenchmarkRestore_grown brings an instance back that has grown and written to
// all pages that it grew into.
func BenchmarkRestore_grown(b *testing.B) {
	for _, grown := range []uint32{1, 4, 16, 17, 64} {
		for _, m := range modes(b) {
			b.Run(fmt.Sprintf("grown=%dKiB/mode=%s", grown*64, m.name), func(b *testing.B) {
				g := newGuestOf(b, m, probe(16, guesttest.NoMax), guesttest.NoMax, 4096, fillImage)
				in := g.clone()
				defer in.close()
				b.ReportAllocs()
				for b.Loop() {
					mem := in.Module.Memory()
					mem.Grow(grown)
					memory, _ := mem.Read(16*page, grown*page)
					for i := 0; i < len(memory); i += 4096 {
						memory[i] = 1
					}
					if in.Restore(&g.state) != nil {
						b.Fatal("not restored")
					}
				}
			})
		}
	}
}

// BenchmarkReseed gives the two generators of a Go guest new seeds.
func BenchmarkReseed(b *testing.B) {
	m := modes(b)[0]
	g := newGuestOf(b, m, probe(16, guesttest.NoMax), guesttest.NoMax, 4096, fillImage)
	g.state.Random = []uint32{4096, 8192}
	in := g.clone()
	defer in.close()
	b.ReportAllocs()
	for b.Loop() {
		in.Reseed(&g.state, func(p []byte) { cryptorand.Read(p) })
	}
}

// BenchmarkCapture writes an image of 10 MiB and looks for generators in it.
func BenchmarkCapture(b *testing.B) {
	m := modes(b)[0]
	g := newGuestOf(b, m, probe(160, guesttest.NoMax), guesttest.NoMax, 4096, fillImage)
	in := g.clone()
	defer in.close()
	w := make(contents, in.Memory.Size())
	b.ReportAllocs()
	b.SetBytes(int64(len(w)))
	for b.Loop() {
		if _, err := in.Capture(w); err != nil {
			b.Fatal(err)
		}
	}
}
