package hostile_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

// A good module is one that is damaged, and how it is called.
type good struct {
	name     string
	wasm     []byte
	function string
	input    []byte
	share    int // of a hundred modules
}

// goods are modules by several toolchains. The one in C is left out where there is no
// compiler for it.
func goods(t *testing.T) []good {
	t.Helper()
	all := []good{
		{"tiny", guesttest.TinyEcho(), "echo", []byte("input"), 40},
		{"count", guesttest.TinyCount(guesttest.CountGuest{Salt: "salt", Hook: guesttest.CountHook}), "count", nil, 38},
		{"host", guesttest.TinyHostCall("echo"), "hostcall", []byte("input"), 20},
		{"go", guesttest.Bytes(t, "state"), "do", guesttest.StateInput("mark", 1), 2},
	}
	t.Run("c", func(t *testing.T) {
		all = append(all, good{"c", guesttest.BytesC(t, "cstate"), "do", guesttest.StateInput("mark", 1), 20})
	})
	return all
}

// settled checks what became of a damaged module: a success, or an error of ours.
func (p *pool) settled(t *testing.T, r *report, class, what string, g good, wasm []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	s := specimen{function: g.function, input: g.input, wall: brief, host: []string{"echo"}}
	err := p.run(ctx, wasm, s)
	got := outcome(err)
	r.add(class, got)
	if !ours(got) {
		t.Errorf("%s: %s: %v", what, got, err)
	}
	if err != nil && unfit(err.Error()) != "" {
		t.Errorf("%s: %s", what, unfit(err.Error()))
	}
}

// TestCuts cuts good modules off: at the beginning and at the end of each section, at
// every byte of small ones and at many of large ones.
func TestCuts(t *testing.T) {
	t.Parallel()
	r := newReport(t)
	for _, g := range goods(t) {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			random := seeded(t)
			p := newPool(t, startmethod.Snapshot)
			for _, at := range cuts(g.wasm, random) {
				p.settled(t, r, "cut "+g.name, fmt.Sprintf("cut at %d of %d", at, len(g.wasm)), g, g.wasm[:at])
			}
			p.good(t)
		})
	}
}

// cuts returns where to cut a module.
func cuts(wasm []byte, random *rand.Rand) []int {
	var all []int
	for at := 8; at < len(wasm); at += sectionSize(wasm[at:]) {
		all = append(all, at-1, at, at+1, at+2)
	}
	most := 200
	if testing.Short() {
		most = 20
	}
	if *full {
		most = 2000
	}
	if len(wasm) <= 1000 {
		for at := range wasm {
			all = append(all, at)
		}
	}
	for range min(most, len(wasm)/20) {
		all = append(all, random.IntN(len(wasm)))
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(all, func(at int) bool { return at > len(wasm) })
}

// TestMutations damages good modules at random.
func TestMutations(t *testing.T) {
	t.Parallel()
	n := *mutations
	switch {
	case n > 0:
	case *full:
		n = 10_000
	case testing.Short():
		n = 30
	default:
		n = 300
	}
	r := newReport(t)
	all := goods(t)
	methods := []startmethod.Method{startmethod.Precompiled, startmethod.Snapshot}
	for _, method := range methods {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			random := seeded(t)
			p := newPool(t, method)
			p.mutate(t, r, all, n/len(methods), random)
			p.good(t)
		})
	}
}

// mutate runs n damaged modules, two at a time.
func (p *pool) mutate(t *testing.T, r *report, all []good, n int, random *rand.Rand) {
	t.Helper()
	type damaged struct {
		good

		number int
		wasm   []byte
	}
	next := make(chan damaged)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { // until next is closed
			for d := range next {
				p.settled(t, r, "damaged "+d.name, fmt.Sprintf("module %d, %s", d.number, d.name), d.good, d.wasm)
			}
		})
	}
	began := time.Now()
	for i := range n {
		g := pick(all, random)
		next <- damaged{g, i, damage(g.wasm, random)}
	}
	close(next)
	wg.Wait()
	t.Logf("%d modules, %v each", n, time.Since(began)/time.Duration(max(n, 1)))
}

// pick chooses a module by its share.
func pick(all []good, random *rand.Rand) good {
	total := 0
	for _, g := range all {
		total += g.share
	}
	at := random.IntN(total)
	for _, g := range all {
		if at -= g.share; at < 0 {
			return g
		}
	}
	return all[0]
}

// damage returns a module with one to four faults. A half of them has its code twisted,
// which often leaves it valid.
func damage(wasm []byte, random *rand.Rand) []byte {
	b := slices.Clone(wasm)
	code := codeOf(b)
	change, from := fault, 8
	switch random.IntN(4) {
	case 0, 1:
		change, from = twist, code
	case 2:
		from = code
	}
	for range 1 + random.IntN(4) {
		b = change(b, from, random)
	}
	return b
}

// alike are ranges of instructions that take and return the same types.
var alike = [][2]byte{
	{0x0c, 0x0d}, {0x20, 0x22}, {0x28, 0x28}, {0x2c, 0x2f}, {0x45, 0x45}, {0x46, 0x4f}, {0x51, 0x5a}, {0x6a, 0x78}, {0x7c, 0x8a}, {0xa0, 0xa6},
}

// twist changes an instruction to one like it, or a small number to another.
func twist(b []byte, from int, random *rand.Rand) []byte {
	if len(b) <= from+1 {
		return b
	}
	at := from + random.IntN(len(b)-from)
	for _, r := range alike {
		if r[0] <= b[at] && b[at] <= r[1] {
			b[at] = r[0] + byte(random.IntN(int(r[1]-r[0])+1))
			return b
		}
	}
	if b[at] < 0x80 {
		b[at] = b[at]&^7 | byte(random.IntN(8))
	}
	return b
}

// codeOf is where the code section's content begins.
func codeOf(wasm []byte) int {
	at := 8
	for at < len(wasm) && wasm[at] != secCode {
		at += sectionSize(wasm[at:])
	}
	return min(at+6, len(wasm)-1)
}

// numbers are bytes that decode to something large, negative or overlong.
var numbers = [][]byte{
	{0xff, 0xff, 0xff, 0xff, 0x0f}, {0x80, 0x80, 0x80, 0x80, 0x08}, {0xff, 0xff, 0x03}, {0x80, 0x80, 0x80, 0x80, 0x80, 0x00}, {0x7f}, {0x00},
}

// fault changes a module somewhere at or behind from.
func fault(b []byte, from int, random *rand.Rand) []byte {
	if len(b) <= from+1 {
		return b
	}
	at := from + random.IntN(len(b)-from)
	to := min(at+1+random.IntN(16), len(b))
	switch random.IntN(8) {
	case 0:
		b[at] ^= 1 << random.IntN(8)
	case 1:
		b[at] = byte(random.Uint32())
	case 2:
		b[at]++
	case 3:
		b = slices.Delete(b, at, to)
	case 4:
		b = slices.Insert(b, at, slices.Clone(b[at:to])...)
	case 5:
		clear(b[at:to])
	case 6:
		copy(b[at:], numbers[random.IntN(len(numbers))])
	case 7: // from elsewhere in the module
		copy(b[at:to], b[random.IntN(len(b)):])
	}
	return b
}

// TestMutations_damage: what damage does is damage, and the same for the same seed.
func TestMutations_damage(t *testing.T) {
	t.Parallel()
	wasm := guesttest.TinyEcho()
	first, second := rand.New(rand.NewPCG(7, 1)), rand.New(rand.NewPCG(7, 1))
	same := 0
	for range 200 {
		b := damage(wasm, first)
		require.Equal(t, b, damage(wasm, second))
		if string(b) == string(wasm) {
			same++
		}
	}
	require.Less(t, same, 40)
	require.Equal(t, wasm, guesttest.TinyEcho())
}
