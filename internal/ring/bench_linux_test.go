package ring

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// benchPair is pair for benchmarks.
func benchPair(b *testing.B) (host, worker *Ring) {
	b.Helper()
	host, err := New(2)
	if err != nil {
		b.Fatal(err)
	}
	fd, err := unix.Dup(int(host.File().Fd()))
	if err != nil {
		b.Fatal(err)
	}
	if worker, err = Open(os.NewFile(uintptr(fd), "ring")); err != nil {
		b.Fatal(err)
	}
	return host, worker
}

// BenchmarkRing_echo sends bytes to another goroutine and back: through the ring, and
// through two pipes with blocking reads for comparison.
func BenchmarkRing_echo(b *testing.B) {
	for _, size := range []int{64, 4 << 10, 32 << 10} {
		b.Run(fmt.Sprintf("transport=ring/size=%d", size), func(b *testing.B) {
			host, worker := benchPair(b)
			done := make(chan struct{})
			go func() {
				defer close(done)
				echo(worker, worker, size)
			}()
			roundTrips(b, host, host, size)
			worker.Hangup()
			<-done
			_ = host.Close()
			_ = worker.Close()
		})
		b.Run(fmt.Sprintf("transport=pipe/size=%d", size), func(b *testing.B) {
			requests, toWorker := blockingPipe(b)
			replies, toHost := blockingPipe(b)
			done := make(chan struct{})
			go func() {
				defer close(done)
				echo(requests, toHost, size)
			}()
			roundTrips(b, replies, toWorker, size)
			_ = toWorker.Close()
			<-done
			for _, f := range []*os.File{requests, replies, toHost} {
				_ = f.Close()
			}
		})
	}
}

func blockingPipe(b *testing.B) (r, w *os.File) {
	b.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		b.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w")
}

func echo(r io.Reader, w io.Writer, size int) {
	buf := make([]byte, size)
	for {
		if _, err := io.ReadFull(r, buf); err != nil {
			return
		}
		if _, err := w.Write(buf); err != nil {
			return
		}
	}
}

func roundTrips(b *testing.B, r io.Reader, w io.Writer, size int) {
	b.Helper()
	buf := make([]byte, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(r, buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkArena sends a payload to another goroutine and back.
func BenchmarkArena(b *testing.B) {
	for _, size := range []int{64 << 10, 1 << 20, WindowSize} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			host, worker := benchPair(b)
			done := make(chan struct{})
			go func() {
				defer close(done)
				buf := make([]byte, size)
				for {
					if _, err := io.ReadFull(worker, buf[:1]); err != nil {
						return
					}
					if worker.Input.ReadAt(buf, 0) != nil || worker.Send(nil, buf) != nil {
						return
					}
				}
			}()
			in, out := make([]byte, size), make([]byte, size)
			b.SetBytes(2 * int64(size))
			for b.Loop() {
				first := host.Input.Put(in)
				if _, err := host.Write([]byte{1}); err != nil {
					b.Fatal(err)
				}
				host.Input.Add(in[first:])
				if _, err := io.ReadFull(host.Output(), out); err != nil {
					b.Fatal(err)
				}
				host.Output().End()
			}
			worker.Hangup()
			<-done
			_ = host.Close()
			_ = worker.Close()
		})
	}
}

// BenchmarkPieces copies 16 MiB into 8 MiB of memory and, on another processor, out of it, in pieces
// of different sizes. The reader spins for the next one, so that only copying counts.
func BenchmarkPieces(b *testing.B) {
	const size = 16 << 20
	for _, n := range []int{64 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20} {
		b.Run(fmt.Sprintf("piece=%d", n), func(b *testing.B) {
			in, window, out := make([]byte, size), make([]byte, WindowSize), make([]byte, size)
			for _, p := range [][]byte{in, window, out} {
				for i := range p {
					p[i] = byte(i)
				}
			}
			var head, tail atomic.Int64
			done := make(chan struct{})
			rounds := b.N
			b.SetBytes(size)
			b.ResetTimer()
			go func() {
				defer close(done)
				for at := 0; at < rounds*size; at += n {
					for head.Load() < int64(at+n) {
					}
					copy(out[at%size:][:n], window[at%WindowSize:])
					tail.Store(int64(at + n))
				}
			}()
			for at := 0; at < rounds*size; at += n {
				for tail.Load()+WindowSize < int64(at+n) {
				}
				copy(window[at%WindowSize:][:n], in[at%size:])
				head.Store(int64(at + n))
			}
			<-done
		})
	}
}
