package wasmworker_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/wire"
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
