package wasmbin_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/wasmbin"
)

// The parts of the hand-made modules below.
var (
	oneFunction = sec(functions, vec(u(0)))
	onePage     = sec(memories, vec(raw(0, 1)))
	emptyData   = raw(0, 0x41, 0, 0x0b, 0)
	nothing     = sec(code, vec(fn()))
	setsZero    = sec(code, vec(fn(raw(0x41, 7, 0x24, 0)))) // global 0, an i32
	copiesData  = sec(code, vec(fn(raw(0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 0x08, 1, 0))))
)

// active is an active data segment.
func active(offset []byte, content string) []byte {
	return cat(raw(0, 0x41), offset, raw(0x0b), str(content))
}

// mutable is a mutable global with an initial value.
func mutable(valType byte, initial ...byte) []byte {
	return cat(raw(valType, 1), initial, raw(0x0b))
}

// i32Global is a mutable global of value 0.
var i32Global = mutable(0x7f, 0x41, 0)

// exportOf is an entry of an export section.
func exportOf(name string, kind byte, index uint64) []byte {
	return cat(str(name), raw(kind), u(index))
}

// A preparation is a module and what Prepare makes of it. An absent output is
// the input itself.
type preparation struct {
	in, out []byte
	want    wasmbin.Prepared
}

var preparations = map[string]preparation{
	"empty": {in: module()},
	"nothing to do": {
		in:   module(sec(custom, str("x"), []byte("y")), noType, oneFunction, onePage, nothing),
		want: wasmbin.Prepared{Memory: true, MinPages: 1, MaxPages: 1 << 16},
	},
	"data": {
		in: module(onePage, sec(custom, str("a")), sec(data, vec(active(u(8), "hello"), active(raw(0x89, 0x80, 0), "E"),
			cat(raw(2, 0), raw(0x41, 0, 0x0b), str("x")), active(raw(0x80, 0x80, 4), ""))), sec(custom, str("b"))),
		out: module(onePage, sec(custom, str("a")), sec(custom, str("b"))),
		want: wasmbin.Prepared{
			Data:   []wasmbin.Data{{8, []byte("hello")}, {9, []byte("E")}, {0, []byte("x")}, {65536, []byte{}}},
			Memory: true, MinPages: 1, MaxPages: 1 << 16,
		},
	},
	"data beyond 2 GiB": {
		in:  module(sec(memories, vec(cat(raw(0), u(1<<16)))), sec(data, vec(active(raw(0x7f), "z")))),
		out: module(sec(memories, vec(cat(raw(0), u(1<<16))))),
		want: wasmbin.Prepared{
			Data:   []wasmbin.Data{{1<<32 - 1, []byte("z")}},
			Memory: true, MinPages: 1 << 16, MaxPages: 1 << 16,
		},
	},
	"passive data": {in: module(sec(data, vec(cat(raw(1), str("p")))))},
	"passive data among active": {
		in:   module(onePage, sec(data, vec(active(u(0), "a"), cat(raw(1), str("p")), active(u(1), "b")))),
		out:  module(onePage, sec(data, vec(cat(raw(1), str("p"))))),
		want: wasmbin.Prepared{Data: []wasmbin.Data{{0, []byte("a")}, {1, []byte("b")}}, Memory: true, MinPages: 1, MaxPages: 1 << 16},
	},
	"data count": {
		in:   module(onePage, sec(dataCount, u(2)), sec(data, vec(active(u(0), "a"), active(u(1), "b")))),
		out:  module(onePage, sec(dataCount, u(2)), sec(data, vec(emptyData, emptyData))),
		want: wasmbin.Prepared{Data: []wasmbin.Data{{0, []byte("a")}, {1, []byte("b")}}, Memory: true, MinPages: 1, MaxPages: 1 << 16},
	},
	"memory.init": {
		in: module(noType, oneFunction, onePage, sec(dataCount, u(2)), copiesData,
			sec(data, vec(active(u(0), "a"), cat(raw(1), str("p"))))),
		out: module(noType, oneFunction, onePage, sec(dataCount, u(2)), copiesData,
			sec(data, vec(emptyData, cat(raw(1), str("p"))))),
		want: wasmbin.Prepared{Data: []wasmbin.Data{{0, []byte("a")}}, Memory: true, MinPages: 1, MaxPages: 1 << 16},
	},
	// No valid module, but the compiler must see what is wrong with it.
	"memory.init without data count": {
		in:   module(noType, oneFunction, onePage, copiesData, sec(data, vec(active(u(0), "a"), active(u(0), "b")))),
		out:  module(noType, oneFunction, onePage, copiesData, sec(data, vec(emptyData, emptyData))),
		want: wasmbin.Prepared{Data: []wasmbin.Data{{0, []byte("a")}, {0, []byte("b")}}, Memory: true, MinPages: 1, MaxPages: 1 << 16},
	},
	"maximum": {
		in:   module(sec(memories, vec(raw(1, 2, 0x7f))), sec(custom, str("x"))),
		out:  module(sec(memories, vec(cat(raw(1, 2), u(128)))), sec(custom, str("x"))),
		want: wasmbin.Prepared{Memory: true, MinPages: 2, MaxPages: 127},
	},
	"maximum of nothing": {
		in: module(sec(memories, vec(raw(1, 0, 0)))), out: module(sec(memories, vec(raw(1, 0, 1)))),
		want: wasmbin.Prepared{Memory: true},
	},
	"largest maximum": {
		in:   module(sec(memories, vec(cat(raw(1, 1), u(1<<16))))),
		want: wasmbin.Prepared{Memory: true, MinPages: 1, MaxPages: 1 << 16},
	},
	"global": {
		in: module(noType, oneFunction, sec(globals, vec(i32Global)), sec(custom, str("x")), setsZero),
		out: module(noType, oneFunction, sec(globals, vec(i32Global)),
			sec(exports, vec(exportOf("\x00sandpool.global.0", 3, 0))), sec(custom, str("x")), setsZero),
		want: wasmbin.Prepared{Globals: 1},
	},
	"exports in front of a tag section's successors": {
		in: module(noType, oneFunction, sec(tags, vec(raw(0, 0))), sec(globals, vec(i32Global)), setsZero),
		out: module(noType, oneFunction, sec(tags, vec(raw(0, 0))), sec(globals, vec(i32Global)),
			sec(exports, vec(exportOf("\x00sandpool.global.0", 3, 0))), setsZero),
		want: wasmbin.Prepared{Globals: 1},
	},
	"several globals": {
		in: module(noType, sec(imports, vec(cat(str("m"), str("g"), raw(3, 0x7f, 0)))), oneFunction,
			sec(globals, vec(raw(0x7f, 0, 0x41, 1, 0x0b), i32Global, mutable(0x7e, 0x42, 1), mutable(0x7d, cat(raw(0x43), times(4, 0))...),
				mutable(0x7c, cat(raw(0x44), times(8, 0))...), mutable(0x70, 0xd0, 0x70))),
			// The count of the exports is longer than need be.
			sec(exports, raw(0x81, 0), exportOf("counter", 3, 2)),
			sec(code, vec(fn(raw(0x44), times(8, 0), raw(0x24, 5, 0x42, 0, 0x24, 3), raw(0x42, 1, 0x24, 3))))),
		out: module(noType, sec(imports, vec(cat(str("m"), str("g"), raw(3, 0x7f, 0)))), oneFunction,
			sec(globals, vec(raw(0x7f, 0, 0x41, 1, 0x0b), i32Global, mutable(0x7e, 0x42, 1), mutable(0x7d, cat(raw(0x43), times(4, 0))...),
				mutable(0x7c, cat(raw(0x44), times(8, 0))...), mutable(0x70, 0xd0, 0x70))),
			sec(exports, vec(exportOf("counter", 3, 2), exportOf("\x00sandpool.global.0", 3, 3), exportOf("\x00sandpool.global.1", 3, 5))),
			sec(code, vec(fn(raw(0x44), times(8, 0), raw(0x24, 5, 0x42, 0, 0x24, 3), raw(0x42, 1, 0x24, 3))))),
		want: wasmbin.Prepared{Globals: 2},
	},
	// No valid modules either: there is nothing to export.
	"global out of range": {in: module(noType, oneFunction, setsZero)},
	"constant global set": {in: module(noType, oneFunction, sec(globals, vec(raw(0x7f, 0, 0x41, 0, 0x0b))), setsZero)},
	"start": {
		in:   module(noType, oneFunction, sec(exports, vec(exportOf("f", 0, 0))), sec(start, u(0)), nothing),
		out:  module(noType, oneFunction, sec(exports, vec(exportOf("f", 0, 0), exportOf("\x00sandpool.start", 0, 0))), nothing),
		want: wasmbin.Prepared{Start: true},
	},
	"start and globals without exports": {
		in: module(noType, oneFunction, sec(globals, vec(i32Global)), sec(start, u(0)), setsZero),
		out: module(noType, oneFunction, sec(globals, vec(i32Global)),
			sec(exports, vec(exportOf("\x00sandpool.global.0", 3, 0), exportOf("\x00sandpool.start", 0, 0))), setsZero),
		want: wasmbin.Prepared{Globals: 1, Start: true},
	},
	"tables that code only reads": {in: module(noType, oneFunction, sec(tables, vec(raw(0x70, 0, 1))),
		sec(exports, vec(exportOf("t", 1, 0))), sec(elements, vec(cat(raw(0, 0x41, 0, 0x0b), vec(u(0))))),
		sec(code, vec(fn(raw(0x41, 0, 0x25, 0, 0x1a, 0xfc, 0x10, 0, 0x1a)))))},
	// Sizes and counts in forms longer than need be stay as they are.
	"long forms": {in: module(raw(custom, 0x83, 0x80, 0, 1, 'x', 'y'), raw(types, 0x84, 0x80, 0x80, 0), vec(raw(0x60, 0, 0)))},
}

func TestPrepare(t *testing.T) {
	t.Parallel()
	for name, test := range preparations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := slices.Clone(test.in)
			p, err := wasmbin.Prepare(in)
			require.NoError(t, err)
			require.Equal(t, test.in, in, "the input was written to")
			want := test.want
			want.Bytes = test.out
			if test.out == nil {
				want.Bytes = test.in
				require.Same(t, &in[0], &p.Bytes[0], "a copy of the same bytes")
			}
			if len(p.Data) == 0 {
				p.Data = nil
			}
			require.Equal(t, &want, p)
			_, err = wasmbin.Scan(p.Bytes)
			require.NoError(t, err)
			for i, d := range p.Data {
				if len(d.Bytes) > 0 {
					d.Bytes[0] = 'A' + byte(i)
				}
			}
			require.Equal(t, slices.ContainsFunc(p.Data, func(d wasmbin.Data) bool { return len(d.Bytes) > 0 }),
				!slices.Equal(test.in, in), "data is no part of the input")
		})
	}
}

// imported is a module that imports one thing.
func imported(desc ...byte) []byte {
	return module(noType, sec(imports, vec(cat(str("env"), str("it"), desc))))
}

// inFunction is a module with an imported function, a memory, two tables, an
// element and a data segment, and two functions, the last of which has this body.
func inFunction(instructions ...byte) []byte {
	return module(noType, sec(imports, vec(cat(str("env"), str("it"), raw(0, 0)))), sec(functions, vec(u(0), u(0))),
		sec(tables, vec(raw(0x70, 0, 1), raw(0x70, 0, 1))), onePage,
		sec(elements, vec(cat(raw(1, 0), vec()))), sec(dataCount, u(1)),
		sec(code, vec(fn(), fn(instructions))), sec(data, vec(cat(raw(1), str("p")))))
}

// setGlobal is a module whose code sets its only global.
func setGlobal(global []byte) []byte {
	return module(noType, oneFunction, sec(globals, vec(global)), setsZero)
}

// withData is a module with a memory of one page and these data segments.
func withData(segments ...[]byte) []byte { return module(onePage, sec(data, vec(segments...))) }

var unfit = map[string]struct {
	module []byte
	reason string
}{
	"imported memory":         {imported(2, 0, 1), `the module imports a memory ("env"."it")`},
	"imported table":          {imported(1, 0x70, 0, 1), `the module imports a table ("env"."it")`},
	"imported mutable global": {imported(3, 0x7f, 1), `the module imports a mutable global ("env"."it")`},
	"mutable global after others": {
		module(sec(imports, vec(cat(str("a"), str("b"), raw(3, 0x7f, 0)), cat(str("c"), str("\x00"), raw(3, 0x7f, 1))))),
		`the module imports a mutable global ("c"."\x00")`,
	},
	"shared memory":           {module(sec(memories, vec(raw(3, 1, 1)))), "the module uses threads (a shared memory or atomic instructions)"},
	"atomics":                 {inFunction(0xfe, 3, 0), "the module uses threads (a shared memory or atomic instructions)"},
	"table.set":               {inFunction(0x26, 0), "code changes a table (table.set in function 2)"},
	"table.init":              {inFunction(0xfc, 0x0c, 0, 0), "code changes a table (table.init in function 2)"},
	"table.copy":              {inFunction(0xfc, 0x0e, 0, 1), "code changes a table (table.copy in function 2)"},
	"table.grow":              {inFunction(0xfc, 0x0f, 0), "code changes a table (table.grow in function 2)"},
	"table.fill":              {inFunction(0xfc, 0x11, 0), "code changes a table (table.fill in function 2)"},
	"elem.drop":               {inFunction(0xfc, 0x0d, 0), "code drops a segment (elem.drop in function 2)"},
	"data.drop":               {inFunction(0xfc, 0x09, 0), "code drops a segment (data.drop in function 2)"},
	"the first of several":    {inFunction(0xfc, 0x09, 0, 0xfc, 0x11, 0, 0x26, 0), "code changes a table (table.fill in function 2)"},
	"global of type v128":     {setGlobal(mutable(0x7b, cat(raw(0xfd, 0x0c), times(16, 0))...)), "code sets a global of type v128 (global 0)"},
	"global of type funcref":  {setGlobal(mutable(0x70, 0xd0, 0x70)), "code sets a global of type funcref (global 0)"},
	"global of type extern":   {setGlobal(mutable(0x6f, 0xd0, 0x6f)), "code sets a global of type externref (global 0)"},
	"global of a defined ref": {setGlobal(cat(raw(0x63, 0, 1), raw(0xd0, 0, 0x0b))), "code sets a global of type (ref null ...) (global 0)"},
	"start with a parameter": {
		module(sec(types, vec(raw(0x60, 1, 0x7f, 0))), oneFunction, sec(start, u(0)), nothing),
		"the start function has the type (i32) -> (), it must have () -> ()",
	},
	"start with a result": {
		module(sec(types, vec(raw(0x60, 0, 1, 0x7f))), oneFunction, sec(start, u(0)), nothing),
		"the start function has the type () -> (i32), it must have () -> ()",
	},
	"reference to start": {
		module(noType, oneFunction, sec(start, u(0)), sec(code, vec(fn(raw(0xd2, 0, 0x1a))))),
		"code takes a reference to the start function",
	},
	"reserved name": {
		module(onePage, sec(exports, vec(exportOf("\x00sandpool.x", 2, 0)))), `the module exports the reserved name "\x00sandpool.x"`,
	},
	"data without memory":     {module(sec(data, vec(active(u(0), "x")))), "data segment 0 belongs to a memory that the module does not define"},
	"data outside the memory": {withData(cat(raw(1), str("p")), active(raw(0xff, 0xff, 3), "ab")), "data segment 1 ends at byte 65537 of an initial memory of 1 pages"},
	"no data outside":         {withData(active(raw(0x81, 0x80, 4), "")), "data segment 0 ends at byte 65537 of an initial memory of 1 pages"},
	"data at the end of 32 bits": {
		module(sec(memories, vec(cat(raw(0), u(1<<16)))), sec(data, vec(active(raw(0x7f), "ab")))),
		"data segment 0 ends at byte 4294967297 of an initial memory of 65536 pages",
	},
	"data at a global": {
		module(sec(imports, vec(cat(str("a"), str("b"), raw(3, 0x7f, 0)))), onePage, sec(data, vec(cat(raw(0, 0x23, 0, 0x0b), str("x"))))),
		"data segment 0 has an offset that is not a constant",
	},
	"data at a sum":       {withData(cat(raw(0, 0x41, 1, 0x41, 1, 0x6a, 0x0b), str("x"))), "data segment 0 has an offset that is not a constant"},
	"data at an i64":      {withData(cat(raw(0, 0x42, 1, 0x0b), str("x"))), "data segment 0 has an offset that is not a constant"},
	"data at no constant": {withData(cat(raw(0, 0x0b), str("x"))), "data segment 0 has an offset that is not a constant"},
	"data that code copies": {
		module(noType, oneFunction, onePage, sec(dataCount, u(2)), copiesData, sec(data, vec(active(u(0), "a"), active(u(0), "b")))),
		"data segment 1 is active and code copies from it (memory.init in function 0)",
	},
	"data spread thin": {spread(1000), "data segments are spread over more than 1040 KiB of memory"},
	"too many globals": {setGlobals(1001), "code sets 1001 globals, the limit is 1000"},
}

// spread is a module with that many bytes of data, each on a page of its own.
func spread(n int) []byte {
	segments := make([][]byte, n)
	for i := range segments {
		segments[i] = active(binary.AppendUvarint(nil, uint64(i)<<12|1<<28), "x") // five bytes, which end positive
	}
	return module(sec(memories, vec(raw(0, 0xff, 0x7f))), sec(data, vec(segments...)))
}

// setGlobals is a module whose code sets that many globals.
func setGlobals(n int) []byte {
	var body []byte
	for i := range n {
		body = append(body, cat(raw(0x41, 0, 0x24), u(uint64(i)))...)
	}
	return module(noType, oneFunction, sec(globals, u(uint64(n)), times(n, i32Global...)), sec(code, vec(fn(body))))
}

// manyExports is a module with that many exports, a start function and a global
// that code sets.
func manyExports(n int) []byte {
	entries := make([]byte, 0, 8*n)
	for i := range n {
		entries = append(entries, exportOf(fmt.Sprintf("%05x", i), 0, 0)...)
	}
	return module(noType, oneFunction, sec(globals, vec(i32Global)), sec(exports, u(uint64(n)), entries), sec(start, u(0)), setsZero)
}

func TestPrepare_unfit(t *testing.T) {
	t.Parallel()
	for name, test := range unfit {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := wasmbin.Scan(test.module)
			require.NoError(t, err, "no good module")
			p, err := wasmbin.Prepare(test.module)
			require.Nil(t, p)
			e, ok := errors.AsType[*wasmbin.UnfitError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, test.reason, e.Reason)
			require.EqualError(t, e, "instances cannot be restored: "+test.reason)
		})
	}
}

// TestPrepare_atLimits takes what is just inside the limits.
func TestPrepare_atLimits(t *testing.T) {
	t.Parallel()
	p, err := wasmbin.Prepare(setGlobals(1000))
	require.NoError(t, err)
	require.Equal(t, 1000, p.Globals)
	m, err := wasmbin.Scan(p.Bytes)
	require.NoError(t, err)
	for i := range 1000 {
		require.Equal(t, wasmbin.Export{Name: wasmbin.GlobalName(i), Kind: wasmbin.KindGlobal, Index: uint32(i)}, m.Exports[i])
	}

	_, err = wasmbin.Prepare(manyExports(999_000))
	require.EqualError(t, err, "instances cannot be restored: the module has 999000 exports, the limit is 998999")
	p, err = wasmbin.Prepare(manyExports(998_999))
	require.NoError(t, err)
	m, err = wasmbin.Scan(p.Bytes)
	require.NoError(t, err)
	require.Len(t, m.Exports, 999_001)
	require.Equal(t, wasmbin.KindFunc, m.Export(wasmbin.StartName).Kind)
}

// TestPrepare_refused compares the errors with those of Scan.
func TestPrepare_refused(t *testing.T) {
	t.Parallel()
	for name, bomb := range bombs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, want := wasmbin.Scan(bomb.module)
			p, err := wasmbin.Prepare(bomb.module)
			require.Nil(t, p)
			require.Equal(t, want, err)
		})
	}
	b := everything()
	for n := range b {
		_, want := wasmbin.Scan(b[:n])
		_, err := wasmbin.Prepare(b[:n])
		if want != nil {
			require.Equal(t, want, err)
		} else {
			require.NotErrorAs(t, err, new(*wasmbin.Error))
		}
	}
}

// copies are that many memory.init, each of another segment.
func copies(n int) []byte {
	var body []byte
	for i := range n {
		body = append(body, cat(raw(0xfc, 0x08), u(uint64(i)), raw(0))...)
	}
	return body
}

// TestPrepare_greedy bounds what modules of the least bytes for an element make
// Prepare allocate. It is not parallel: it measures allocation, which is global.
func TestPrepare_greedy(t *testing.T) {
	const n = 100_000
	for name, b := range map[string][]byte{
		"globals":      module(sec(globals, u(n), times(n, 0x7f, 1, 0x41, 0, 0x0b))),
		"imports":      module(sec(imports, u(n), times(n, 0, 0, 3, 0x7f, 0))),
		"data":         module(onePage, sec(data, u(n), times(n, emptyData...))),
		"counted data": module(onePage, sec(dataCount, u(n)), sec(data, u(n), times(n, emptyData...))),
		"passive data": module(onePage, sec(data, u(n), emptyData, times(n-1, 1, 0))),
		"large data":   module(onePage, sec(data, u(2), emptyData, raw(1), u(5*n), times(5*n, 1))),
		"copied data": module(noType, oneFunction, onePage, sec(dataCount, u(n)),
			sec(code, vec(fn(copies(n)))), sec(data, u(n), times(n, 1, 0))),
		"sections": module(times(wasmbin.MaxCustomSections, sec(custom, str(""))...), sec(memories, vec(raw(1, 1, 1)))),
	} {
		t.Run(name, func(t *testing.T) {
			var p *wasmbin.Prepared
			var err error
			bytes := allocated(func() { p, err = wasmbin.Prepare(b) })
			require.NoError(t, err)
			require.LessOrEqual(t, len(p.Bytes), len(b)+16)
			ratio := float64(bytes) / float64(len(b))
			t.Logf("%d bytes, %.1f times as many allocated", len(b), ratio)
			// 14 times at most, and 3 MB for as many sections as there can be.
			require.Less(t, bytes, uint64(48*len(b)+8<<20))
		})
	}
}
