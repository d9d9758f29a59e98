package wire_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/sandpool/sandpool/internal/wire"
)

// repeated is a reader of the same bytes again and again.
type repeated struct {
	b  []byte
	at int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.b[r.at:])
	r.at = (r.at + n) % len(r.b)
	return n, nil
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkWriter(b *testing.B) {
	for _, size := range []int{64, 4 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			w, payload := wire.NewWriter(discard{}), make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := w.Write(wire.Header{Type: wire.TypeCall, ID: 1}, payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReader(b *testing.B) {
	for _, size := range []int{64, 4 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			var frame bytes.Buffer
			if err := wire.NewWriter(&frame).Write(wire.Header{Type: wire.TypeResult, ID: 1}, make([]byte, size)); err != nil {
				b.Fatal(err)
			}
			r, buf := wire.NewReader(&repeated{b: frame.Bytes()}), make([]byte, size)
			limits := wire.Limits{{Type: wire.TypeResult, Max: wire.MaxPayload}}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Next(limits); err != nil {
					b.Fatal(err)
				}
				if _, err := r.Payload(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMarshal(b *testing.B) {
	l := wire.Load{Source: make([]byte, 32), Digest: make([]byte, 32), Function: "f", Method: "snapshot", Memory: 1 << 28}
	b.ReportAllocs()
	for b.Loop() {
		data, err := wire.Marshal(l)
		if err != nil {
			b.Fatal(err)
		}
		var got wire.Load
		if err := wire.Unmarshal(data, &got); err != nil {
			b.Fatal(err)
		}
	}
}
