package hostile_test

import (
	"fmt"

	"github.com/sandpool/sandpool/internal/guesttest"
)

// What the machine says of its traps.
const (
	divideByZero = "integer divide by zero"
	overflows    = "integer overflow"
	conversion   = "invalid conversion to integer"
	outside      = "out of bounds memory access"
	badTable     = "invalid table access"
	mismatch     = "indirect call type mismatch"
	unreachable  = "unreachable"
)

// traps have every reason for a trap that the specification knows.
func traps() []specimen {
	var all []specimen
	add := func(name, text string, body func(g *guest) *code) {
		all = append(all, specimen{name: name, wasm: does(body), want: []string{trap}, text: text})
	}
	add("unreachable", unreachable, func(*guest) *code { return instr().Unreachable() })
	plain := func(name, text string, c *code) {
		add(name, text, func(*guest) *code { return instr().Append(c).Drop().I32(0) })
	}
	for op, name := range map[byte]string{0x6d: "i32.div_s", 0x6e: "i32.div_u", 0x6f: "i32.rem_s", 0x70: "i32.rem_u"} {
		plain(name+" by zero", divideByZero, instr().I32(7).I32(0).Raw(op))
	}
	for op, name := range map[byte]string{0x7f: "i64.div_s", 0x80: "i64.div_u", 0x81: "i64.rem_s", 0x82: "i64.rem_u"} {
		plain(name+" by zero", divideByZero, instr().I64(7).I64(0).Raw(op))
	}
	plain("i32.div_s overflow", overflows, instr().I32(-1<<31).I32(-1).Raw(0x6d))
	plain("i64.div_s overflow", overflows, instr().I64(-1<<63).I64(-1).Raw(0x7f))
	all = append(all, conversions()...)
	all = append(all, outsides()...)
	return append(all, tableTraps()...)
}

// conversions are of floats that are no integers.
func conversions() []specimen {
	var all []specimen
	nan32, inf32 := []byte{0x43, 0, 0, 0xc0, 0x7f}, []byte{0x43, 0, 0, 0x80, 0x7f}
	nan64, inf64 := []byte{0x44, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f}, []byte{0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0xff}
	for _, op := range []byte{0xa8, 0xa9, 0xaa, 0xab, 0xae, 0xaf, 0xb0, 0xb1} { // i32 and i64 .trunc_ f32 and f64 _s and _u
		nan, inf := nan32, inf32
		if (op%4 > 1) == (op < 0xac) {
			nan, inf = nan64, inf64
		}
		for text, value := range map[string][]byte{conversion: nan, overflows: inf} {
			all = append(all, specimen{
				name: fmt.Sprintf("trunc %#x: %s", op, text), want: []string{trap}, text: text,
				wasm: does(func(*guest) *code { return instr().Raw(value...).Raw(op).Drop().I32(0) }),
			})
		}
	}
	return all
}

// outsides reach over the end of memory.
func outsides() []specimen {
	var all []specimen
	add := func(name string, c *code) {
		all = append(all, specimen{name: name, want: []string{trap}, text: outside, wasm: func() []byte {
			g := newGuest()
			g.pages = [2]uint32{1, 1}
			return withDataCount(g.end(instr().Append(c).I32(0)))
		}})
	}
	for op := byte(0x28); op <= 0x35; op++ { // all loads
		add(fmt.Sprintf("load %#x", op), instr().I32(page).Raw(op, 0, 0).Drop())
		add(fmt.Sprintf("load %#x, far", op), instr().I32(-1).Raw(op, 0).Raw(uleb(1<<32-1)...).Drop())
	}
	value := []*code{instr().I32(1), instr().I64(1), instr().Raw(0x43, 0, 0, 0, 0), instr().F64(1), // by type
		instr().I32(1), instr().I32(1), instr().I64(1), instr().I64(1), instr().I64(1)}
	for i, v := range value { // all stores
		op := byte(0x36 + i)
		add(fmt.Sprintf("store %#x", op), instr().I32(page).Append(v).Raw(op, 0, 0))
		add(fmt.Sprintf("store %#x, far", op), instr().I32(-1).Append(v).Raw(op, 0).Raw(uleb(1<<32-1)...))
	}
	add("v128.load", instr().I32(page-15).Raw(0xfd, 0, 0, 0).Drop())
	add("v128.store", instr().I32(page-15).I32(0).Raw(0xfd, 0x0f).Raw(0xfd, 0x0b, 0, 0))
	add("memory.fill", instr().I32(1).I32(7).I32(page).Raw(memoryFill...))
	add("memory.fill, far", instr().I32(-1).I32(7).I32(-1).Raw(memoryFill...))
	add("memory.copy to", instr().I32(1).I32(0).I32(page).Raw(memoryCopy...))
	add("memory.copy from", instr().I32(0).I32(-1).I32(2).Raw(memoryCopy...))
	add("memory.init", instr().Raw(0xfc, 9, 0).I32(0).I32(0).I32(1).Raw(0xfc, 8, 0, 0)) // of a dropped segment
	add("memory.init, far", instr().I32(-1).I32(-1).I32(-1).Raw(0xfc, 8, 0, 0))
	return all
}

// withDataCount adds the section that bulk instructions ask for, for one segment.
func withDataCount(wasm []byte) []byte {
	const code = 10
	at := 8
	for at < len(wasm) && wasm[at] != code {
		at += sectionSize(wasm[at:])
	}
	return cat(wasm[:at], guesttest.Section(12, uleb(1)), wasm[at:])
}

// sectionSize is the size of the section that b begins with, with its head.
func sectionSize(b []byte) int {
	size, n := 0, 1
	for shift := 0; ; shift += 7 {
		size |= int(b[n]&0x7f) << shift
		n++
		if b[n-1] < 0x80 {
			return n + size
		}
	}
}

// tableTraps call and reach through a table what is not there.
func tableTraps() []specimen {
	var all []specimen
	add := func(name, text string, c func(g *guest) *code) {
		all = append(all, specimen{name: name, want: []string{trap}, text: text, wasm: does(func(g *guest) *code {
			g.Table(2, 2)
			g.Elements(0, g.next())
			g.Func(none, nil, instr())
			return instr().Append(c(g)).I32(0)
		})})
	}
	indirect := func(i int32, s guesttest.Signature) func(g *guest) *code {
		return func(g *guest) *code { return instr().I32(i).CallIndirect(&g.Module, s) }
	}
	raw := func(c *code) func(*guest) *code { return func(*guest) *code { return c } }
	null := instr().Raw(refNull...)
	add("call_indirect, null", badTable, indirect(1, none))
	add("call_indirect, outside", badTable, indirect(2, none))
	add("call_indirect, far outside", badTable, indirect(-1, none))
	add("call_indirect, type", mismatch, func(g *guest) *code { return indirect(0, answer)(g).Drop() })
	add("table.get", badTable, raw(instr().I32(2).Raw(0x25, 0).Drop()))
	add("table.set", badTable, raw(instr().I32(-1).Append(null).TableSet(0)))
	add("table.fill", badTable, raw(instr().I32(1).Append(null).I32(2).Raw(tableFill...)))
	add("table.copy", badTable, raw(instr().I32(0).I32(1).I32(-1).Raw(0xfc, 14, 0, 0)))
	add("table.init", badTable, raw(instr().I32(0).I32(0).I32(1).Raw(0xfc, 12, 0, 0))) // of a dropped segment
	return all
}
