package snapshot_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/snapshot"
	"github.com/sandpool/sandpool/internal/wasmbin"
)

func TestCapture(t *testing.T) {
	t.Parallel()
	for _, m := range modes(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, m, 3, 8, 100)
			require.Equal(t, snapshot.State{Size: 3 * page, Globals: []uint64{4711, 1<<64 - 1}}, g.state)
			in := g.clone()
			defer in.close()
			require.NoError(t, in.Check(&g.state))
			require.EqualValues(t, 4711, in.call("get"))
			require.EqualValues(t, 7|1, in.call("load", 7*4096))
			require.Zero(t, in.call("load", 4096))

			// Of a clone: what it was made of and what has been changed.
			in.call("store", 4096, 9)
			in.call("grow", 1)
			in.call("store", 3*page, 8)
			in.call("set", 1)
			data := make(contents, 4*page)
			s, err := in.Capture(data)
			require.NoError(t, err)
			require.Equal(t, snapshot.State{Size: 4 * page, Globals: []uint64{1, 1<<64 - 1}}, s)
			memory, ok := in.Module.Memory().Read(0, 4*page)
			require.True(t, ok)
			require.True(t, bytes.Equal(memory, data))
		})
	}
}

var errWrite = errors.New("disk full")

type badWriter struct{ writes int }

func (w *badWriter) WriteAt(p []byte, _ int64) (int, error) {
	if w.writes--; w.writes < 0 {
		return 0, errWrite
	}
	return len(p), nil
}

func TestCapture_writes(t *testing.T) {
	t.Parallel()
	g := newGuest(t, modes(t)[0], 3, 8, 100)
	in := g.clone()
	defer in.close()
	// Pages 0, 7, 14, …, 42 have something in them.
	_, err := in.Capture(&badWriter{writes: 7})
	require.NoError(t, err, "pages of zeros are not written")
	_, err = in.Capture(&badWriter{writes: 6})
	require.ErrorIs(t, err, errWrite)
}

func TestRestore(t *testing.T) {
	t.Parallel()
	for _, m := range modes(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, m, 8, 100, 200)
			in := g.clone()
			defer in.close()
			for _, tc := range []struct {
				name string
				do   func()
			}{
				{"nothing", func() {}},
				{"first byte", func() { in.call("store", 0, 200) }},
				{"last byte", func() { in.call("store", 8*page-1, 200) }},
				{"every page", func() { in.call("fill", 0, 3, 8*page) }},
				{"globals", func() { in.call("set", 12) }},
				{"grown by one", func() { in.call("grow", 1) }},
				{"grown and used", func() {
					require.EqualValues(t, 8, in.call("grow", 2))
					in.call("fill", 8*page, 5, 2*page)
				}},
				{"grown by much", func() {
					require.EqualValues(t, 8, in.call("grow", 30))
					in.call("fill", 8*page, 5, 30*page)
				}},
				{"grown to the maximum", func() {
					require.EqualValues(t, 8, in.call("grow", 92))
					in.call("store", 100*page-1, 1)
					require.Equal(t, ^uint32(0), in.call("grow", 1), "the page more is not the guest's")
					require.EqualValues(t, 101*page, in.Memory.Refused())
				}},
				{"trap", func() {
					_, err := in.try("trap", 5000, 6)
					require.ErrorContains(t, err, "unreachable")
				}},
				{"out of bounds", func() {
					_, err := in.try("store", 8*page, 6)
					require.ErrorContains(t, err, "out of bounds")
				}},
				{"stack overflow", func() {
					_, err := in.try("overflow", 0)
					require.Error(t, err)
				}},
			} {
				t.Log(tc.name)
				for range 3 {
					tc.do()
					in.restored(&g.state)
					require.EqualValues(t, 4711, in.call("get"))
					require.EqualValues(t, 8*page, in.Module.Memory().Size())
					_, err := in.try("load", 8*page)
					require.ErrorContains(t, err, "out of bounds", "the guest has shrunk")
				}
			}
			// What is grown into again is zeros.
			require.EqualValues(t, 8, in.call("grow", 92))
			rest, ok := in.Module.Memory().Read(8*page, 92*page)
			require.True(t, ok)
			require.True(t, bytes.Equal(rest, zeros[:len(rest)]))
		})
	}
}

func TestRestore_exit(t *testing.T) {
	t.Parallel()
	for _, m := range modes(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, m, 1, 1, 1)
			in := g.clone()
			_, err := in.try("exit", 1, 2)
			require.Error(t, err)
			require.True(t, in.Module.IsClosed())
			require.ErrorContains(t, in.Restore(&g.state), "closed")
			require.ErrorContains(t, in.Apply(&g.state), "closed")
			require.ErrorContains(t, in.Check(&g.state), "closed")
			_, err = in.Capture(contents{})
			require.ErrorContains(t, err, "closed")
			_, err = in.Dirty()
			require.ErrorContains(t, err, "closed")
			in.Reseed(&snapshot.State{Size: page, Globals: g.state.Globals, Random: []uint32{8}}, func([]byte) { t.Error("asked") })
			again := g.clone()
			defer again.close()
			require.NoError(t, again.Check(&g.state))
		})
	}
}

// Clones share the image and nothing else.
func TestClone(t *testing.T) {
	t.Parallel()
	for _, m := range modes(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, m, 20, guesttest.NoMax, 100)
			a, b := g.clone(), g.clone()
			defer a.close()
			defer b.close()
			a.call("fill", 0, 1, 20*page)
			a.call("grow", 3)
			require.NoError(t, b.Check(&g.state))
			require.Error(t, a.Check(&g.state))
			b.call("store", 3, 3)
			a.restored(&g.state)
			require.EqualValues(t, 3, b.call("load", 3))
		})
	}
}

// A module whose memory is smaller than what was captured, as it had grown.
func TestClone_grownImage(t *testing.T) {
	t.Parallel()
	for _, m := range modes(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			g := newGuestOf(t, m, probe(1, 50), 50, 100, func(in *instance) {
				in.call("grow", 40)
				in.call("fill", 0, 9, 41*page)
			})
			require.EqualValues(t, 41*page, g.state.Size)
			in := g.clone()
			defer in.close()
			for range 3 {
				require.EqualValues(t, 41*page, in.Module.Memory().Size())
				require.EqualValues(t, 41, in.call("grow", 9))
				require.Equal(t, ^uint32(0), in.call("grow", 1))
				in.call("fill", 0, 7, 50*page)
				in.restored(&g.state)
			}
		})
	}
}

// TestRestore_random does at random what guests do.
func TestRestore_random(t *testing.T) {
	t.Parallel()
	const size, most = 96, 200 // 6 MiB each: more than is kept
	for _, m := range modes(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, m, size, most, 300)
			in := g.clone()
			defer func() { in.close() }()
			rnd := rand.New(rand.NewPCG(1, 2))
			rounds := 2000
			if m.pages == nil || m.name == "slice+scan" {
				rounds = 200 // all of the image is copied
			}
			if testing.Short() {
				rounds /= 10
			}
			for range rounds {
				now := uint32(size)
				for range rnd.IntN(4) {
					if n := rnd.Uint32N(1 << rnd.IntN(8)); in.call("grow", uint64(n)) != ^uint32(0) {
						now += n
					}
				}
				for range rnd.IntN(20) {
					in.call("store", uint64(rnd.Uint32N(now*page)), uint64(rnd.Uint32()))
				}
				switch rnd.IntN(40) {
				case 0:
					in.call("fill", 0, uint64(rnd.Uint32()), uint64(now*page))
				case 1:
					_, err := in.try("trap", uint64(rnd.Uint32N(now*page)), 1)
					require.Error(t, err)
				case 2:
					at := rnd.Uint32N(now * page)
					in.call("fill", uint64(at), 0, uint64(rnd.Uint32N(now*page-at)))
				case 3:
					in.close()
					in = g.clone()
				default:
					in.call("set", rnd.Uint64())
				}
				require.NoError(t, in.Restore(&g.state))
				require.NoError(t, in.Check(&g.state))
				if rnd.IntN(10) == 0 {
					require.EqualValues(t, size, in.call("grow", most-size))
					rest, ok := in.Module.Memory().Read(size*page, (most-size)*page)
					require.True(t, ok)
					require.True(t, bytes.Equal(rest, zeros[:len(rest)]))
					require.NoError(t, in.Restore(&g.state))
				}
			}
		})
	}
}

var zeros [104 * page]byte

// A module without memory has globals all the same; its api.Memory must not be
// touched.
func TestInstance_noMemory(t *testing.T) {
	t.Parallel()
	for _, m := range modes(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			w := new(guesttest.Module)
			w.ExportGlobal(wasmbin.GlobalName(0), w.Global(guesttest.I32, 3))
			w.Export("set", w.Func(one, nil, new(guesttest.Code).Get(0).GlobalSet(0)))
			r := wazero.NewRuntime(t.Context())
			defer r.Close(t.Context())
			compiled, err := r.CompileModule(t.Context(), w.Bytes())
			require.NoError(t, err)
			for _, mem := range []*snapshot.Memory{
				nil,
				snapshot.NewMemory(snapshot.Config{Limit: page, Pages: m.pages}),
				snapshot.NewMemory(snapshot.Config{Limit: page, Image: m.image(t, nil), Pages: m.pages}),
			} {
				ctx := t.Context()
				if mem != nil {
					ctx = experimental.WithMemoryAllocator(ctx, mem)
				}
				mod, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName(""))
				require.NoError(t, err)
				in, err := snapshot.NewInstance(mod, mem, 1)
				require.NoError(t, err)
				s, err := in.Capture(contents{})
				require.NoError(t, err)
				require.Equal(t, snapshot.State{Globals: []uint64{3}}, s)
				require.NoError(t, s.Validate(0, 1))
				require.NoError(t, in.Apply(&s))
				_, err = mod.ExportedFunction("set").Call(t.Context(), 99)
				require.NoError(t, err)
				require.ErrorContains(t, in.Check(&s), "global 0 is 0x63, 0x3 captured")
				require.NoError(t, in.Restore(&s))
				require.NoError(t, in.Check(&s))
				in.Reseed(&s, nil)
				require.Error(t, in.Restore(&snapshot.State{Size: page, Globals: []uint64{3}}))
				require.NoError(t, mod.Close(t.Context()))
				require.Error(t, in.Restore(&s))
			}
		})
	}
}

// A memory that is empty at first.
func TestRestore_emptyImage(t *testing.T) {
	t.Parallel()
	for _, m := range modes(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, m, 0, 40, 100)
			for _, image := range []*snapshot.Image{g.config.Image, nil} {
				g.config.Image = image
				in := g.clone()
				for _, n := range []uint32{1, 40, 0, 3} {
					require.Zero(t, in.call("grow", uint64(n)))
					in.call("fill", 0, 1, uint64(n*page))
					in.restored(&g.state)
				}
				in.close()
			}
		})
	}
}

func TestInstance_globals(t *testing.T) {
	t.Parallel()
	r := wazero.NewRuntime(t.Context())
	defer r.Close(t.Context())
	funcref := "\x00asm\x01\x00\x00\x00" +
		"\x06\x06\x01\x70\x01\xd0\x70\x0b" + // (global (mut funcref) (ref.null func))
		"\x07\x16\x01\x12" + wasmbin.GlobalName(0) + "\x03\x00"
	constant := "\x00asm\x01\x00\x00\x00" +
		"\x06\x06\x01\x7f\x00\x41\x05\x0b" +
		"\x07\x16\x01\x12" + wasmbin.GlobalName(0) + "\x03\x00"
	for want, wasm := range map[string][]byte{
		"of type 0x70":      []byte(funcref),
		"no mutable global": []byte(constant),
		"sandpool.global.0": guesttest.Header(),
		"sandpool.global.2": probe(0, 0),
	} {
		_, err := r.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func() {}).Export("exit").Instantiate(t.Context())
		require.NoError(t, err)
		mod, err := r.Instantiate(t.Context(), wasm)
		require.NoError(t, err, want)
		_, err = snapshot.NewInstance(mod, nil, 3)
		require.ErrorContains(t, err, want)
		require.NoError(t, r.Module("env").Close(t.Context()))
		require.NoError(t, mod.Close(t.Context()))
	}
}

// States that are valid but of another module are errors, not panics.
func TestInstance_foreignState(t *testing.T) {
	t.Parallel()
	for _, m := range modes(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, m, 2, 4, 4)
			in := g.clone()
			defer in.close()
			for _, s := range []snapshot.State{
				{},
				{Size: page, Globals: []uint64{1, 2}},
				{Size: 3 * page, Globals: []uint64{1, 2}},
				{Size: 2 * page, Globals: []uint64{1}},
				{Size: 2 * page, Globals: []uint64{1, 2, 3}},
			} {
				require.Error(t, in.Apply(&s))
				require.Error(t, in.Restore(&s))
				require.Error(t, in.Check(&s))
			}
			// The high half of a 32-bit global is not there.
			require.NoError(t, in.Apply(&snapshot.State{Size: 2 * page, Globals: []uint64{1<<63 | 5, 2}}))
			require.EqualValues(t, 5, in.call("get"))
		})
	}
}

// An instance that did not get the memory of its image, and whose module did not
// need it to be instantiated.
func TestInstance_refused(t *testing.T) {
	t.Parallel()
	for _, m := range modes(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			g := newGuestOf(t, m, probe(0, 4), 4, 4, func(in *instance) { in.call("grow", 2) })
			g.config.Limit = page
			in := g.instance()
			defer in.close()
			require.EqualValues(t, 2*page, in.Memory.Refused())
			g.state.Random = []uint32{0}
			require.Error(t, in.Apply(&g.state))
			require.Error(t, in.Check(&g.state))
			require.Error(t, in.Restore(&g.state))
			in.Reseed(&g.state, func([]byte) { t.Error("asked") })
		})
	}
}

func TestState_Validate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		want    string
		s       snapshot.State
		image   uint64
		globals int
	}{
		{"", snapshot.State{}, 0, 0},
		{"", snapshot.State{Size: page, Globals: []uint64{1}, Random: []uint32{304, page - 304}}, page, 1},
		{"over an image", snapshot.State{Size: page}, 2 * page, 0},
		{"memory of 5", snapshot.State{Size: 5}, 5, 0},
		{"memory of 4294967296", snapshot.State{Size: 1 << 32}, 1 << 32, 0},
		{"2 globals", snapshot.State{Globals: []uint64{1, 2}}, 0, 1},
		{"0 globals", snapshot.State{}, 0, 1},
		{"generator at 0x0", snapshot.State{Random: []uint32{0}}, 0, 0},
		{"generator at 0xfed8", snapshot.State{Size: page, Random: []uint32{page - 296}}, page, 0},
		{"generator at 0xfffffff8", snapshot.State{Size: page, Random: []uint32{1<<32 - 8}}, page, 0},
		{"generator at 0x4", snapshot.State{Size: page, Random: []uint32{4}}, page, 0},
		{"generator at 0x128", snapshot.State{Size: page, Random: []uint32{0, 296}}, page, 0},
		{"generator at 0x0", snapshot.State{Size: page, Random: []uint32{400, 0}}, page, 0},
		{"65 generators", snapshot.State{Size: 1 << 20, Random: make([]uint32, 65)}, 1 << 20, 0},
	} {
		err := tc.s.Validate(tc.image, tc.globals)
		if tc.want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, tc.want)
		}
	}
}

//nolint:paralleltest // measures this process's allocations
func TestRestore_allocations(t *testing.T) {
	for _, m := range modes(t) {
		g := newGuest(t, m, 20, 40, 100)
		g.state.Random = []uint32{0, 8192}
		in := g.clone()
		write := in.Module.ExportedFunction("store")
		grow := in.Module.ExportedFunction("grow")
		stack := make([]uint64, 2)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			stack[0], stack[1] = 5000, 1
			err := write.CallWithStack(t.Context(), stack)
			stack[0] = 20
			err = errors.Join(err, grow.CallWithStack(t.Context(), stack), in.Restore(&g.state))
			in.Reseed(&g.state, func([]byte) {})
			if err != nil {
				t.Fatal(err)
			}
		}), m.name)
		in.close()
	}
}
