package wasmworker_test

import (
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/startmethod"
	"github.com/sandpool/sandpool/wasmworker"
)

// What a template has said of an image is not believed.
func TestNewImage(t *testing.T) {
	t.Parallel()
	const page = 64 << 10
	layout := &wire.Layout{Globals: 1, MaxPages: 10}
	for want, tc := range map[string]struct {
		layout *wire.Layout
		image  wire.Image
		memory []byte
	}{
		"":                               {layout, wire.Image{Size: page, Globals: []uint64{1}, Random: []uint32{0, 304}}, make([]byte, page)},
		"has no layout":                  {nil, wire.Image{Size: page, Globals: []uint64{1}}, make([]byte, page)},
		"did not come along":             {layout, wire.Image{Size: page, Globals: []uint64{1}}, nil},
		"over an image of 131072":        {layout, wire.Image{Size: page, Globals: []uint64{1}}, make([]byte, 2*page)},
		"a memory of 100 bytes":          {layout, wire.Image{Size: 100, Globals: []uint64{1}}, make([]byte, 100)},
		"2 globals, the module has 1":    {layout, wire.Image{Size: page, Globals: []uint64{1, 2}}, make([]byte, page)},
		"0 globals":                      {layout, wire.Image{Size: page}, make([]byte, page)},
		"a generator at 0xfff8 of 65536": {layout, wire.Image{Size: page, Globals: []uint64{1}, Random: []uint32{page - 8}}, make([]byte, page)},
		"a generator at 0x4":             {layout, wire.Image{Size: page, Globals: []uint64{1}, Random: []uint32{4}}, make([]byte, page)},
		"a generator at 0x8":             {layout, wire.Image{Size: page, Globals: []uint64{1}, Random: []uint32{0, 8}}, make([]byte, page)},
	} {
		err := wasmworker.NewImage(wire.Load{Layout: tc.layout, Image: &tc.image}, tc.memory)
		if want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
}

// A worker that is given an image that cannot be says so and exits.
func TestImage_refused(t *testing.T) {
	t.Parallel()
	const page = 64 << 10
	for want, change := range map[string]func(l *wire.Load){
		"a generator at 0xfff8":                            func(l *wire.Load) { l.Image.Random = []uint32{page - 8} },
		"1 globals, the module has 0":                      func(l *wire.Load) { l.Image.Globals = []uint64{1} },
		"image 7 did not come along":                       func(l *wire.Load) { l.ImageSent = false },
		"image 7 did not come along, or has no layout":     func(l *wire.Load) { l.Layout = nil },
		"an image of 4294967296 bytes":                     func(l *wire.Load) { l.Image.Size = 1 << 32 },
		"blob of 65536 bytes does not fit the 1 announced": func(l *wire.Load) { l.Image.Size = 1 },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			w := startWorker(t, "")
			wasm := guesttest.TinyEcho()
			sum := sha256.Sum256(wasm)
			l := wire.Load{
				Source: sum[:], Digest: sum[:], Method: string(startmethod.Snapshot), Memory: 1 << 20, Output: outputLimit, LogBytes: 1 << 20, Stdout: 1 << 20, Stderr: 1 << 20,
				Inline: true, Module: uint64(len(wasm)), Class: 1, Layout: &wire.Layout{MaxPages: 1},
				Image: &wire.Image{Number: 7, Size: page}, ImageSent: true,
			}
			change(&l)
			b, err := wire.Marshal(l)
			require.NoError(t, err)
			w.send(wire.Header{Type: wire.TypeLoad, Slot: 1}, b)
			require.NoError(t, w.w.WriteChunks(wire.Header{Type: wire.TypeBlob, Slot: 1}, wasm))
			if l.ImageSent {
				_ = w.w.WriteChunks(wire.Header{Type: wire.TypeBlob, Slot: 1}, make([]byte, page)) // it may have given up
			}
			w.fails(want)
		})
	}
}
