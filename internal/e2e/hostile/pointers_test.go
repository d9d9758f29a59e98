package hostile_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/startmethod"
)

const memorySize = 2 * page

// wild are arguments that a function should look at twice: around the end of the memory,
// where sums and products of 32 bits run over, descriptors and small numbers.
var wild = []uint64{
	0, 1, 2, 3, 4, 7, 8, 64, textAt, memorySize - 48, memorySize - 8, memorySize - 1, memorySize, memorySize + 1,
	1<<32/48 + 1, 1 << 27, 1 << 28, 1 << 29, 1<<31 - 1, 1 << 31, 1<<32 - memorySize, 1<<32 - 8, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1,
}

// caller is a guest that calls an import with arguments out of its input, 8 bytes each,
// and returns what that returns. The memory is full of what random has.
func caller(module, name string) func(random *rand.Rand) []byte {
	return func(random *rand.Rand) []byte {
		var wasi []string
		if module == guestabi.WASI {
			wasi = []string{name}
		}
		g := newGuest(wasi...)
		g.pages = [2]uint32{memorySize / page, memorySize / page}
		const at = 512
		sig := signature(guestabi.Imports[module][name])
		body := instr().I32(at).I32(0).I32(256).Append(g.call("input_read")).Drop()
		for i, p := range sig.Params {
			body.I32(int32(at + 8*i)).Load64(0)
			if p == i32 {
				body.Wrap()
			}
		}
		body.Append(g.call(name))
		if len(sig.Results) == 1 {
			g.locals = many(i32, 1)
			body.Set(3).I32(at).Get(3).Store(0).I32(at).I32(4).Append(g.call("output_write"))
		}
		fill := make([]byte, 8192) // iovecs and subscriptions, by chance
		for i := 0; i < len(fill); i += 4 {
			binary.LittleEndian.PutUint32(fill[i:], uint32(wild[random.IntN(len(wild))]))
		}
		g.Data(1024, fill)
		return g.end(body.I32(0))
	}
}

// TestPointers calls every import with arguments that point outside the memory, and more.
func TestPointers(t *testing.T) {
	t.Parallel()
	r := newReport(t)
	for _, method := range formMethods() {
		if method == startmethod.Fresh {
			continue // as Precompiled
		}
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			random := seeded(t)
			p := newPool(t, method)
			for module, functions := range guestabi.Imports {
				for _, name := range sorted(functions) {
					p.point(t, r, random, module, name)
				}
			}
		})
	}
}

// point calls one import with many arguments.
func (p *pool) point(t *testing.T, r *report, random *rand.Rand, imported, name string) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), hang)
		defer cancel()
		s := specimen{want: []string{ok, logged, stdout, stderr}, host: []string{"echo"}}
		switch {
		case name == "proc_exit":
			s.want = []string{exit}
		case name == "fail":
			s.want = []string{trap, failed, badInput, "guest: panic", "guest: bad output"}
		case name == "poll_oneoff": // may sleep
			s.want = append(s.want, wall)
		case imported == guestabi.ImportModule: // outside is a trap here, an error number in WASI
			s.want = append(s.want, trap, output)
		}
		m := module(t, name, caller(imported, name)(random))
		rounds := 30
		if *full {
			rounds = 1000
		}
		for range rounds {
			s.input = nil
			args := make([]uint64, len(signature(guestabi.Imports[imported][name]).Params))
			for i := range args {
				args[i] = wild[random.IntN(len(wild))]
				s.input = binary.LittleEndian.AppendUint64(s.input, args[i])
			}
			out, err := p.submit(ctx, m, s).Wait(ctx)
			got := outcome(err)
			r.add(imported, got)
			require.Contains(t, s.want, got, "arguments %#x: %v", args, err)
			fit(t, err)
			if imported == guestabi.WASI && got == ok && name != "proc_exit" {
				number := binary.LittleEndian.Uint32(out)
				require.LessOrEqual(t, number, uint32(76), fmt.Sprintf("an error number; arguments %#x", args))
			}
		}
		p.good(t)
	})
}
