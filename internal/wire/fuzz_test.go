package wire_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/sandpool/sandpool/internal/wire"
)

// FuzzReader feeds a stream: nothing panics, a payload is as long as its header
// says, and what was accepted is written back as the same bytes.
func FuzzReader(f *testing.F) {
	var seed bytes.Buffer
	w := wire.NewWriter(&seed)
	for i, l := range all {
		if err := w.Write(wire.Header{Type: l.Type, ID: uint64(i), Time: -1}, bytes.Repeat([]byte("p"), i)); err != nil {
			f.Fatal(err)
		}
	}
	arena := append(header(wire.Version, wire.TypeOutput, 5), "seed0"...)
	arena[6] = byte(wire.FlagArena)
	f.Add(arena, true)
	f.Add(arena, false)
	f.Add(seed.Bytes(), false)
	f.Add(append(header(wire.Version, wire.TypeCall, 1<<32-1), "short"...), true)
	f.Add(header(9, wire.TypeCall, 0), false)
	f.Fuzz(func(t *testing.T, in []byte, discard bool) {
		r := wire.NewReader(bytes.NewReader(in))
		shared := &fakeArena{r: bytes.NewReader(in)}
		r.UseArena(shared)
		var back bytes.Buffer
		w := wire.NewWriter(&back)
		for {
			waited := r.Await()
			before, ready := r.Ready(0)
			h, err := r.Next(all)
			if err == nil && (ready == wire.Nothing || before != h) {
				t.Fatalf("%+v was announced as %+v, %v", h, before, ready)
			}
			if err == nil && ready == wire.Whole && waited != nil {
				t.Fatalf("a whole frame, and yet %v", waited)
			}
			if err != nil {
				break
			}
			if discard {
				if r.Discard() != nil {
					break
				}
				continue
			}
			p, err := r.Payload(nil)
			if err != nil {
				break
			}
			if uint32(len(p)) != h.Length || cap(p) > len(in) {
				t.Fatalf("payload of %d bytes (capacity %d) for a length of %d out of %d", len(p), cap(p), h.Length, len(in))
			}
			if h.Flags&wire.FlagArena != 0 {
				if h.Length > 0 && shared.ended == 0 {
					t.Fatal("a payload was read to its end, and the arena was not told")
				}
				err = w.WriteHeader(h)
			} else {
				err = w.Write(h, p)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(in, back.Bytes()) {
			t.Fatalf("%x was written back as %x", in, back.Bytes())
		}
	})
}

// FuzzUnmarshal decodes the same bytes as each message; what one accepts must
// survive a round trip.
func FuzzUnmarshal(f *testing.F) {
	messages := filled()
	for _, m := range messages {
		b, err := wire.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, in []byte) {
		for name, m := range messages {
			v := empty(m)
			if wire.Unmarshal(in, v) != nil {
				continue
			}
			b, err := wire.Marshal(v)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			again := empty(m)
			if err := wire.Unmarshal(b, again); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			twice, err := wire.Marshal(again)
			if err != nil || !bytes.Equal(b, twice) {
				t.Fatalf("%s: %#v became %#v (%v)", name, reflect.ValueOf(v).Elem(), reflect.ValueOf(again).Elem(), err)
			}
		}
	})
}
