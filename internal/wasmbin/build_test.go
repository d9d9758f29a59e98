package wasmbin_test

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// preamble is the header of a module.
const preamble = "\x00asm\x01\x00\x00\x00"

// Section numbers.
const (
	custom = iota
	types
	imports
	functions
	tables
	memories
	globals
	exports
	start
	elements
	code
	data
	dataCount
	tags
)

// u encodes an unsigned LEB128 number.
func u(n uint64) []byte { return binary.AppendUvarint(nil, n) }

// raw is its arguments, so that bytes can be written among slices.
func raw(b ...byte) []byte { return b }

// cat joins.
func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// str encodes a name.
func str(s string) []byte { return cat(u(uint64(len(s))), []byte(s)) }

// vec encodes a vector.
func vec(elements ...[]byte) []byte { return cat(u(uint64(len(elements))), cat(elements...)) }

// times repeats.
func times(n int, b ...byte) []byte { return bytes.Repeat(b, n) }

// sec encodes a section.
func sec(id byte, content ...[]byte) []byte {
	body := cat(content...)
	return cat(raw(id), u(uint64(len(body))), body)
}

// module joins sections.
func module(sections ...[]byte) []byte { return cat([]byte(preamble), cat(sections...)) }

// fn encodes a function of the code section that has no locals.
func fn(instructions ...[]byte) []byte { return fnLocals(vec(), instructions...) }

// fnLocals encodes one with locals.
func fnLocals(locals []byte, instructions ...[]byte) []byte {
	body := cat(locals, cat(instructions...), raw(0x0b))
	return cat(u(uint64(len(body))), body)
}

// noType is a type section of one type, () -> ().
var noType = sec(types, vec(raw(0x60, 0, 0)))

// oneFunc is a module with one function of type () -> ().
func oneFunc(instructions ...[]byte) []byte {
	return module(noType, sec(functions, vec(u(0))), sec(code, vec(fn(instructions...))))
}

// oneFuncLocals is one with locals.
func oneFuncLocals(locals ...[]byte) []byte {
	return module(noType, sec(functions, vec(u(0))), sec(code, vec(fnLocals(vec(locals...)))))
}

// everything is a valid module with every section.
func everything() []byte {
	zero := raw(0x41, 0, 0x0b) // i32.const 0, end
	return module(
		sec(custom, str("before"), []byte("any bytes \xff")),
		sec(types, vec(
			raw(0x60, 2, 0x7f, 0x7f, 1, 0x7f),
			raw(0x60, 0, 0),
			raw(0x60, 1, 0x7e, 2, 0x7b, 0x6f),
		)),
		sec(imports, vec(
			cat(str("env"), str("log"), raw(0, 2)),
			cat(str("env"), str("table"), raw(1, 0x70, 1, 1, 8)),
			cat(str("env"), str("memory"), raw(2, 3, 1, 16)),
			cat(str("env"), str("global"), raw(3, 0x7f, 0)),
			cat(str("env"), str("tag"), raw(4, 0, 1)),
		)),
		sec(functions, vec(u(0), u(1))),
		sec(tables, vec(raw(0x6f, 0, 3))),
		sec(tags, vec(raw(0, 1))),
		sec(globals, vec(cat(raw(0x7e, 1), raw(0x42, 1, 0x42, 2, 0x7c, 0x0b)))),
		sec(exports, vec(
			cat(str("add"), raw(0, 1)),
			cat(str("log"), raw(0, 0)),
			cat(str(""), raw(1, 1)),
			cat(str("memory"), raw(2, 0)),
			cat(str("counter"), raw(3, 1)),
			cat(str("failure"), raw(4, 1)),
		)),
		sec(start, u(2)),
		sec(elements, vec(
			cat(raw(0), zero, vec(u(1), u(2))),
			cat(raw(5, 0x70), vec(raw(0xd2, 1, 0x0b), raw(0xd0, 0x70, 0x0b))),
		)),
		sec(dataCount, u(2)),
		sec(code, vec(
			fnLocals(vec(raw(2, 0x7f), raw(1, 0x7b)), raw(0x20, 0, 0x20, 1, 0x6a)),
			fn(raw(0x02, 0x40, 0x03, 0x40, 0x0c, 1, 0x0b, 0x0b)),
		)),
		sec(data, vec(cat(raw(0), zero, str("hello")), cat(raw(1), str("passive")))),
		sec(custom, str("name"), sec(0, str("mine")), sec(1, vec(cat(u(1), str("add")))),
			sec(2, vec(cat(u(1), vec(cat(u(0), str("x"))))))),
	)
}

// boundaries are the lengths at which a truncated module can still be a valid
// one: after the header and after each section.
func boundaries(b []byte) []int {
	ends := []int{len(preamble)}
	for pos := len(preamble); pos < len(b); {
		size, n := binary.Uvarint(b[pos+1:])
		pos += 1 + n + int(size)
		ends = append(ends, pos)
	}
	return slices.Clip(ends)
}
