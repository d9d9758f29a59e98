package hostile_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/sandpool/sandpool/internal/guesttest"
)

// claims announce 4 thousand million of what is not there. Whoever believes them dies.
func claims() []specimen {
	var all []specimen
	add := func(name string, parts ...[]byte) {
		all = append(all, specimen{name: name, want: []string{invalid, truncated, limit, missingExport}, wasm: func() []byte {
			return cat(append([][]byte{guesttest.Header()}, parts...)...)
		}})
	}
	all4g, some := uleb(1<<32-1), uleb(64<<20)
	for id := byte(secType); id <= secTag; id++ {
		if id == secStart {
			continue
		}
		add(fmt.Sprintf("4 G in section %d", id), guesttest.Section(id, cat(all4g, []byte{0})))
		add(fmt.Sprintf("64 M in section %d", id), guesttest.Section(id, cat(some, []byte{0})))
		add(fmt.Sprintf("4 GiB for section %d", id), []byte{id}, all4g, []byte{0})
	}
	section := guesttest.Section
	add("4 G parameters", section(secType, cat([]byte{1, 0x60}, all4g)))
	add("4 G types in a group", section(secType, cat([]byte{1, 0x4e}, all4g)))
	add("an import's name", section(secImport, cat([]byte{1}, all4g)))
	add("an export's name", section(secExport, cat([]byte{1}, all4g)))
	add("a custom section's name", section(secCustom, all4g))
	add("4 G names", section(secCustom, cat([]byte("\x04name\x01"), []byte{5}, all4g)))
	add("4 G elements", section(secElement, cat([]byte{1, 1, 0}, all4g)))
	add("4 GiB of data", section(secData, cat([]byte{1, 1}, all4g)))
	add("a table of 4 G", section(secTable, cat([]byte{1, 0x70, 0}, all4g)))
	one := []byte{1, 0x60, 0, 0}
	function := func(body []byte) [][]byte {
		return [][]byte{section(secType, one), section(secFunction, []byte{1, 0}), section(secCode, cat([]byte{1}, uleb(uint64(len(body))), body))}
	}
	add("4 G locals", function(cat([]byte{1}, all4g, []byte{0x7e, 0x0b}))...)
	add("4 G locals, twice", function(cat([]byte{2}, all4g, []byte{0x7e}, all4g, []byte{0x7e, 0x0b}))...)
	add("4 G targets", function(cat([]byte{0, 0x41, 0, 0x0e}, all4g))...)
	add("4 GiB of code", section(secType, one), section(secFunction, []byte{1, 0}), section(secCode, cat([]byte{1}, all4g, []byte{0})))
	return all
}

// costs are modules that are dear to compile. Those over a limit are refused; the others
// may take what a compilation is allowed.
func costs() []specimen {
	over := specimen{want: []string{limit}}
	dear := specimen{want: []string{ok, limit}}
	broken := specimen{want: []string{invalid}}
	heavy := specimen{want: []string{ok, limit}, heavy: true}
	as := func(s specimen, name string, wasm func() []byte) specimen {
		s.name, s.wasm, s.wall = name, wasm, limits.Wall
		return s
	}
	nest := func(n int, open *code) func() []byte {
		return does(func(*guest) *code {
			return instr().Raw(bytes.Repeat(bytesOf(open), n)...).Raw(bytes.Repeat([]byte{0x0b}, n)...).I32(0)
		})
	}
	block, loop, branch := instr().Block(), instr().Loop(), instr().I32(0).If()
	return []specimen{
		as(dear, "blocks 2 000 deep", nest(2000, block)),
		as(heavy, "blocks 10 000 deep", nest(10_000-1, block)),
		as(over, "blocks 100 000 deep", nest(100_000, block)),
		as(dear, "loops 300 deep", nest(300, loop)),
		as(heavy, "loops 1 000 deep", nest(1000, loop)),
		as(over, "loops 2 000 deep", nest(2000, loop)),
		as(dear, "ifs 1 000 deep", nest(1000, branch)),
		as(heavy, "ifs 10 000 deep", nest(10_000-1, branch)),
		as(over, "ifs 100 000 deep", nest(100_000, branch)),
		as(dear, "10 000 targets", does(targets(1, 10_000))),
		as(heavy, "10 times 65 520 targets", does(targets(10, 65_520))),
		as(over, "a million targets", does(targets(1, 1_000_000))),
		as(dear, "50 000 locals", localsOf(50_000)),
		as(over, "50 001 locals", localsOf(50_001)),
		as(dear, "locals by branches", phis(200, 200)),
		as(heavy, "locals by many branches", phis(2000, 5000)),
		as(dear, "100 000 additions", adds(100_000)),
		as(heavy, "4 million additions", adds(4_000_000)),
		as(over, "8 million additions", adds(8_000_000)),
		as(dear, "10 000 functions", functionsOf(10_000)),
		as(heavy, "300 000 functions", functionsOf(300_000)),
		as(dear, "20 000 globals", globalsOf(20_000)),
		as(dear, "10 000 exports", exportsOf(10_000)),
		as(dear, "100 000 data segments", segmentsOf(100_000)),
		as(dear, "1 000 types of 1 000 parameters", typesOf(1000, 1000)),
		as(over, "1 001 parameters", typesOf(1, 1001)),
		as(dear, "a custom section of 16 MiB", customOf(1, 16<<20)),
		as(dear, "10 000 custom sections", customOf(10_000, 1)),
		as(over, "10 001 custom sections", customOf(10_001, 1)),
		as(over, "a name of 100 001 bytes", func() []byte {
			g := newGuest()
			g.Export(string(bytes.Repeat([]byte("n"), 100_001)), 0)
			return g.end(nil)
		}),
		as(dear, "names of 10 000 functions that are not there", namesOf(10_000)),
		as(broken, "names that are no names", func() []byte {
			g := newGuest()
			g.Custom("name", bytes.Repeat([]byte("\x01\xff\x7f"+evil), 1000))
			return g.end(nil)
		}),
		as(dear, "debug sections that are none", func() []byte {
			g := newGuest()
			for _, name := range []string{".debug_info", ".debug_line", ".debug_abbrev", ".debug_str", ".debug_ranges"} {
				g.Custom(name, bytes.Repeat([]byte(evil), 100_000))
			}
			return g.end(nil)
		}),
	}
}

// bytesOf is what a piece of code is written as.
func bytesOf(c *code) []byte {
	// Its length follows from that of a module with it and one without.
	module := func(c *code) []byte {
		m := new(guesttest.Module)
		m.Func(none, nil, c)
		return m.Bytes()
	}
	b, empty := module(c), len(module(instr()))
	return b[len(b)-1-(len(b)-empty) : len(b)-1]
}

// targets are n br_table of as many targets.
func targets(n, each int) func(*guest) *code {
	return func(*guest) *code {
		c := instr()
		for range n {
			c.Block().Get(1).Raw(0x0e).Raw(uleb(uint64(each))...).Raw(make([]byte, each+1)...).End()
		}
		return c.I32(0)
	}
}

func localsOf(n int) func() []byte {
	return func() []byte {
		g := newGuest()
		g.locals = many(i64, n)
		return g.end(nil)
	}
}

// phis are locals that all change in every branch.
func phis(locals, branches int) func() []byte {
	return func() []byte {
		g := newGuest()
		g.locals = many(i32, locals)
		c := instr()
		for i := range branches {
			at := uint32(3 + i%locals)
			c.Get(1).If().Get(at).I32(1).Add().Set(at).Else().Get(at).I32(2).Add().Set(at).End()
		}
		for i := range locals {
			c.Get(uint32(3 + i)).Drop()
		}
		return g.end(c.I32(0))
	}
}

func adds(n int) func() []byte {
	return does(func(*guest) *code {
		return instr().Get(1).Raw(bytes.Repeat([]byte{0x45}, n)...).Drop().I32(0) // i32.eqz
	})
}

func functionsOf(n int) func() []byte {
	return does(func(g *guest) *code {
		body := instr()
		for range n {
			g.Func(none, nil, body)
		}
		return instr().I32(0)
	})
}

func globalsOf(n int) func() []byte {
	return does(func(g *guest) *code {
		c := instr()
		for i := range n {
			c.I32(int32(i)).GlobalSet(g.Global(i32, 1))
		}
		return c.I32(0)
	})
}

func exportsOf(n int) func() []byte {
	return does(func(g *guest) *code {
		f := g.Func(none, nil, instr())
		for i := range n {
			g.Export("export "+strconv.Itoa(i), f)
		}
		return instr().I32(0)
	})
}

func segmentsOf(n int) func() []byte {
	return does(func(g *guest) *code {
		for i := range n {
			g.Data(int32(i%textAt), []byte{1})
		}
		return instr().I32(0)
	})
}

func typesOf(n, params int) func() []byte {
	return does(func(g *guest) *code {
		for i := range n {
			types := many(i32, params)
			for bit := range min(10, params) { // all different
				if i>>bit&1 == 1 {
					types[bit] = i64
				}
			}
			g.Func(guesttest.Sig(types), nil, instr())
		}
		return instr().I32(0)
	})
}

func customOf(n, size int) func() []byte {
	return does(func(g *guest) *code {
		content := bytes.Repeat([]byte{0xff}, size)
		for range n {
			g.Custom("x", content)
		}
		return instr().I32(0)
	})
}

// namesOf names functions that are not there, by evil names.
func namesOf(n int) func() []byte {
	return does(func(g *guest) *code {
		name := strings.ToValidUTF8(evil, "?")
		names := uleb(uint64(n))
		for i := range n {
			names = append(append(append(names, uleb(uint64(i))...), uleb(uint64(len(name)))...), name...)
		}
		g.Custom("name", guesttest.Section(1, names))
		return instr().I32(0)
	})
}
