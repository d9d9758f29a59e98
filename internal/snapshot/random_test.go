package snapshot_test

import (
	"bytes"
	cryptorand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/snapshot"
)

// generator returns the bytes of a generator after n draws: what the guest has in
// its memory, as the layout is the same on all architectures.
func generator(seed [32]byte, n int) []byte {
	c := rand.NewChaCha8(seed)
	for range n {
		c.Uint64()
	}
	return bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(c)), snapshot.GeneratorSize))
}

// put makes g the generator whose bytes these are.
func put(state []byte) *rand.ChaCha8 {
	c := new(rand.ChaCha8)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(c)), snapshot.GeneratorSize), state)
	return c
}

// The layout that the constants were read from.
func TestGenerator_layout(t *testing.T) {
	t.Parallel()
	state, ok := reflect.TypeFor[rand.ChaCha8]().FieldByName("state")
	require.True(t, ok)
	require.Zero(t, state.Offset)
	var got []any
	for f := range state.Type.Fields() {
		got = append(got, f.Name, f.Offset, f.Type.Size())
	}
	u := func(n uintptr) uintptr { return n }
	require.Equal(t, []any{
		"buf", u(0), u(256), "seed", u(256), u(32), "i", u(288), u(4), "n", u(292), u(4), "c", u(296), u(4),
	}, got)
	require.EqualValues(t, 300, snapshot.GeneratorSize)
}

func TestFindRandom(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	memory := make([]byte, 4<<20)
	for i := range memory { // small numbers and zeros, much as in a heap
		memory[i] = byte(rnd.Uint32N(40) * rnd.Uint32N(2))
	}
	require.Empty(t, snapshot.FindRandom(memory))
	var want []uint32
	at := uint32(0)
	for _, draws := range []int{0, 1, 31, 32, 33, 64, 95, 96, 100, 124, 125, 156, 1000, 12345} {
		var seed [32]byte
		cryptorand.Read(seed[:])
		copy(memory[at:], generator(seed, draws))
		want = append(want, at)
		at += 304 + 8*rnd.Uint32N(5000)
	}
	at = uint32(len(memory)) - 304
	copy(memory[at:], generator([32]byte([]byte("a seed at the end of the memory!")), 5))
	want = append(want, at)
	require.Equal(t, want, snapshot.FindRandom(memory))

	// One wrong bit in the numbers or the seed: not a generator.
	for range 100 {
		bad := bytes.Clone(memory[at:])
		bad[rnd.IntN(28*8)] ^= 1 << rnd.IntN(8)
		require.Empty(t, snapshot.FindRandom(bad))
		bad = bytes.Clone(memory[at:])
		bad[256+rnd.IntN(32)] ^= 1 << rnd.IntN(8)
		require.Empty(t, snapshot.FindRandom(bad))
	}
	require.Empty(t, snapshot.FindRandom(memory[:200]))
	require.Empty(t, snapshot.FindRandom(nil))
}

// A memory full of near misses does not cost more than its bound.
func TestFindRandom_hostile(t *testing.T) {
	t.Parallel()
	state := generator([32]byte([]byte("0123456789abcdef0123456789abcdef")), 0)
	miss := bytes.Clone(state)
	miss[0] ^= 1
	miss = append(miss, 0, 0, 0, 0)
	memory := bytes.Repeat(miss, snapshot.MaxTried)
	copy(memory[len(memory)-304:], state)
	require.Len(t, snapshot.FindRandom(memory), 1)
	require.Empty(t, snapshot.FindRandom(append(bytes.Clone(miss), memory...)))

	many := bytes.Repeat(append(bytes.Clone(state), 0, 0, 0, 0), 2000)
	s := snapshot.State{Size: 1 << 20, Random: snapshot.FindRandom(many)}
	require.NoError(t, s.Validate(1<<20, 0), "a capture never has more than are allowed")
	require.Len(t, s.Random, 64)
}

func TestReseed(t *testing.T) {
	t.Parallel()
	for _, m := range modes(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			const first, second = 8 * 4096, 8*4096 + 304
			g := newGuestOf(t, m, probe(9, 9), 9, 9, func(in *instance) {
				for i, at := range []uint32{first, second} {
					in.Module.Memory().Write(at, generator([32]byte([]byte("0123456789abcdef0123456789abcdef")), 93*i+7)) // in the first block and in the last
				}
			})
			require.Equal(t, []uint32{first, second}, g.state.Random)
			a, b := g.clone(), g.clone()
			defer a.close()
			defer b.close()
			draws := func(in *instance, at uint32) [200]uint64 {
				state, ok := in.Module.Memory().Read(at, snapshot.GeneratorSize)
				require.True(t, ok)
				c := put(state)
				var out [200]uint64
				for i := range out {
					out[i] = c.Uint64()
				}
				return out
			}
			require.Equal(t, draws(a, first), draws(b, first), "what Reseed is for")
			fixed := func(b []byte) {
				require.Len(t, b, 64)
				for i := range b {
					b[i] = byte(i)
				}
			}
			for range 3 {
				a.Reseed(&g.state, func(b []byte) { cryptorand.Read(b) })
				b.Reseed(&g.state, func(b []byte) { cryptorand.Read(b) })
				seen := make(map[uint64]bool)
				for _, in := range []*instance{a, b} {
					for _, at := range []uint32{first, second} {
						for _, v := range draws(in, at) {
							require.False(t, seen[v])
							seen[v] = true
						}
					}
					require.NoError(t, in.Check(&g.state), "the states are excepted")
				}
				require.Len(t, seen, 800)
				a.Reseed(&g.state, fixed)
				b.Reseed(&g.state, fixed)
				require.Equal(t, draws(a, first), draws(b, first))
				require.Equal(t, draws(a, second), draws(b, second))
				// The seed alone says what is drawn.
				state, _ := a.Module.Memory().Read(first, snapshot.GeneratorSize)
				require.Equal(t, uint64(0x0706050403020100), binary.LittleEndian.Uint64(state[256:]))

				// All but the states is compared.
				for _, at := range []uint64{0, first - 1, second + snapshot.GeneratorSize, 9*page - 1} {
					a.call("store", at, 250)
					require.ErrorContains(t, a.Check(&g.state), "differs from the image at")
					require.NoError(t, a.Restore(&g.state))
					require.NoError(t, a.Check(&g.state))
				}
			}
		})
	}
}
