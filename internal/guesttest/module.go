package guesttest

import (
	"encoding/binary"
	"slices"
)

// A ValueType is the type of a parameter, a result, a local or a global.
type ValueType byte

// The value types that Sandpool's tests need.
const (
	I32     ValueType = 0x7f
	I64     ValueType = 0x7e
	F32     ValueType = 0x7d
	F64     ValueType = 0x7c
	FuncRef ValueType = 0x70
)

// The kinds of import and export.
const (
	kindFunc   = 0
	kindTable  = 1
	kindMemory = 2
	kindGlobal = 3
)

// The IDs of the sections, which stand in this order.
const (
	sectionType     = 1
	sectionImport   = 2
	sectionFunction = 3
	sectionTable    = 4
	sectionMemory   = 5
	sectionGlobal   = 6
	sectionExport   = 7
	sectionStart    = 8
	sectionElement  = 9
	sectionCode     = 10
	sectionData     = 11
)

// NoMax is the maximum of a memory or table that may grow without limit.
const NoMax = ^uint32(0)

// A Signature is the type of a function.
type Signature struct{ Params, Results []ValueType }

// Sig returns the signature of a function with these parameters and one result
// for each of the results.
func Sig(params []ValueType, results ...ValueType) Signature {
	return Signature{Params: params, Results: results}
}

// A Module assembles a WebAssembly module. The zero value is an empty module;
// what the methods add appears in the order of the calls. Nothing is
// validated, so that invalid modules can be made too.
type Module struct {
	types                                      []Signature
	imports, tables, memories, globals         vector
	exports, elements, functions, bodies, data vector
	funcs                                      uint32 // imported and defined
	tail                                       []byte // custom sections
	start                                      []byte // the start section's content
}

// vector is a list of encoded entries and their number.
type vector struct {
	n uint32
	b []byte
}

func (v *vector) add(parts ...[]byte) uint32 {
	v.b = append(v.b, slices.Concat(parts...)...)
	v.n++
	return v.n - 1
}

// Import adds an imported function and returns its index. All imports come
// before the first [Module.Func], as they take the first indices.
func (m *Module) Import(module, name string, s Signature) uint32 {
	if m.bodies.n > 0 {
		panic("guesttest: Module.Import after Func")
	}
	m.imports.add(str(module), str(name), []byte{kindFunc}, uleb(m.typeIndex(s)))
	m.funcs++
	return m.funcs - 1
}

// Func adds a function with these locals beside its parameters and returns its
// index. The end of the body is added.
func (m *Module) Func(s Signature, locals []ValueType, body *Code) uint32 {
	m.functions.add(uleb(m.typeIndex(s)))
	code := uleb(uint32(len(locals)))
	for _, l := range locals {
		code = append(code, 1, byte(l))
	}
	code = append(append(code, body.b...), opEnd)
	m.bodies.add(uleb(uint32(len(code))), code)
	m.funcs++
	return m.funcs - 1
}

// Memory adds a linear memory of minPages, growing to maxPages or [NoMax], and
// exports it as "memory".
func (m *Module) Memory(minPages, maxPages uint32) {
	index := m.memories.add(limits(minPages, maxPages))
	m.exports.add(str("memory"), []byte{kindMemory}, uleb(index))
}

// Table adds a table of functions and returns its index.
func (m *Module) Table(minSize, maxSize uint32) uint32 {
	return m.tables.add([]byte{byte(FuncRef)}, limits(minSize, maxSize))
}

// Global adds a mutable number and returns its index. The initial value of an
// [F32] or [F64] is given by its bits.
func (m *Module) Global(t ValueType, initial int64) uint32 {
	return m.globals.add([]byte{byte(t), 1}, constant(t, initial))
}

// Elements puts functions into the first table from the offset on.
func (m *Module) Elements(offset int32, funcs ...uint32) {
	entry := append([]byte{0}, constant(I32, int64(offset))...)
	entry = append(entry, uleb(uint32(len(funcs)))...)
	for _, f := range funcs {
		entry = append(entry, uleb(f)...)
	}
	m.elements.add(entry)
}

// Data puts bytes into the memory at the offset.
func (m *Module) Data(offset int32, p []byte) {
	m.data.add([]byte{0}, constant(I32, int64(offset)), uleb(uint32(len(p))), p)
}

// Export exports a function. A name may be exported twice, which is invalid.
func (m *Module) Export(name string, function uint32) {
	m.exports.add(str(name), []byte{kindFunc}, uleb(function))
}

// ExportGlobal exports a global.
func (m *Module) ExportGlobal(name string, global uint32) {
	m.exports.add(str(name), []byte{kindGlobal}, uleb(global))
}

// ExportTable exports a table.
func (m *Module) ExportTable(name string, table uint32) {
	m.exports.add(str(name), []byte{kindTable}, uleb(table))
}

// Start names the function that instantiation runs.
func (m *Module) Start(function uint32) { m.start = uleb(function) }

// Custom adds a custom section after all others.
func (m *Module) Custom(name string, content []byte) {
	m.tail = append(m.tail, Section(0, append(str(name), content...))...)
}

// Bytes returns the module.
func (m *Module) Bytes() []byte {
	types := vector{n: uint32(len(m.types))}
	for _, s := range m.types {
		types.b = slices.Concat(types.b, []byte{0x60}, valueTypes(s.Params), valueTypes(s.Results))
	}
	b := Header()
	b = appendVector(b, sectionType, types)
	b = appendVector(b, sectionImport, m.imports)
	b = appendVector(b, sectionFunction, m.functions)
	b = appendVector(b, sectionTable, m.tables)
	b = appendVector(b, sectionMemory, m.memories)
	b = appendVector(b, sectionGlobal, m.globals)
	b = appendVector(b, sectionExport, m.exports)
	if m.start != nil {
		b = append(b, Section(sectionStart, m.start)...)
	}
	b = appendVector(b, sectionElement, m.elements)
	b = appendVector(b, sectionCode, m.bodies)
	b = appendVector(b, sectionData, m.data)
	return append(b, m.tail...)
}

// Header returns the first 8 bytes of a module, which are an empty module.
func Header() []byte { return []byte("\x00asm\x01\x00\x00\x00") }

// Section returns one section, for modules that [Module] would not make.
func Section(id byte, content []byte) []byte {
	return slices.Concat([]byte{id}, uleb(uint32(len(content))), content)
}

// typeIndex returns the index of the signature, adding it if it is new.
func (m *Module) typeIndex(s Signature) uint32 {
	for i, t := range m.types {
		if slices.Equal(t.Params, s.Params) && slices.Equal(t.Results, s.Results) {
			return uint32(i)
		}
	}
	m.types = append(m.types, s)
	return uint32(len(m.types) - 1)
}

// appendVector appends a section with the entries, if there are any.
func appendVector(b []byte, id byte, v vector) []byte {
	if v.n == 0 {
		return b
	}
	return append(b, Section(id, append(uleb(v.n), v.b...))...)
}

func valueTypes(types []ValueType) []byte {
	b := uleb(uint32(len(types)))
	for _, t := range types {
		b = append(b, byte(t))
	}
	return b
}

func limits(minimum, maximum uint32) []byte {
	if maximum == NoMax {
		return append([]byte{0}, uleb(minimum)...)
	}
	return slices.Concat([]byte{1}, uleb(minimum), uleb(maximum))
}

// constant is the initializer of a global or the offset of a segment.
func constant(t ValueType, v int64) []byte {
	switch t {
	case F32:
		return append(binary.LittleEndian.AppendUint32([]byte{opF32Const}, uint32(v)), opEnd)
	case F64:
		return append(binary.LittleEndian.AppendUint64([]byte{opF64Const}, uint64(v)), opEnd)
	case I64:
		return append(append([]byte{opI64Const}, sleb(v)...), opEnd)
	default:
		return append(append([]byte{opI32Const}, sleb(v)...), opEnd)
	}
}

func str(s string) []byte { return append(uleb(uint32(len(s))), s...) }

// uleb is the unsigned LEB128 form of v.
func uleb(v uint32) []byte {
	var b []byte
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// sleb is the signed LEB128 form of v.
func sleb(v int64) []byte {
	var b []byte
	for v < -0x40 || v >= 0x40 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v)&0x7f)
}
