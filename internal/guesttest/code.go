package guesttest

import (
	"encoding/binary"
	"math"
	"slices"
)

// Code is a sequence of instructions. The zero value is empty; every method
// appends one instruction and returns the Code. Block structures are closed
// with End; labels count from the innermost structure, 0.
type Code struct{ b []byte }

// Opcodes.
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1a
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableSet     = 0x26
	opI32Load      = 0x28
	opI64Load      = 0x29
	opI32Load8U    = 0x2d
	opI32Store     = 0x36
	opI64Store     = 0x37
	opI32Store8    = 0x3a
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32Eqz       = 0x45
	opI32Eq        = 0x46
	opI32Ne        = 0x47
	opI32LtU       = 0x49
	opI32GeU       = 0x4f
	opI64Eq        = 0x51
	opI32Add       = 0x6a
	opI32Sub       = 0x6b
	opI32Mul       = 0x6c
	opI32DivU      = 0x6e
	opI32And       = 0x71
	opI32Or        = 0x72
	opI32ShrU      = 0x76
	opI64Mul       = 0x7e
	opI64Xor       = 0x85
	opI64ShrU      = 0x88
	opF64Add       = 0xa0
	opI32WrapI64   = 0xa7
	opI64OfF64     = 0xbd
	opRefFunc      = 0xd2

	noResult = 0x40 // a block structure's type
)

// Raw appends bytes that no other method writes.
func (c *Code) Raw(b ...byte) *Code {
	c.b = append(c.b, b...)
	return c
}

// Append appends the instructions of another Code.
func (c *Code) Append(other *Code) *Code { return c.Raw(other.b...) }

func (c *Code) index(op byte, i uint32) *Code { return c.Raw(append([]byte{op}, uleb(i)...)...) }

// Control.

// Unreachable traps.
func (c *Code) Unreachable() *Code { return c.Raw(opUnreachable) }

// Block begins a structure that Br leaves at its end.
func (c *Code) Block() *Code { return c.Raw(opBlock, noResult) }

// Loop begins a structure that Br begins again.
func (c *Code) Loop() *Code { return c.Raw(opLoop, noResult) }

// If begins what is run if the i32 on the stack is not zero.
func (c *Code) If() *Code { return c.Raw(opIf, noResult) }

// Else begins what is run otherwise.
func (c *Code) Else() *Code { return c.Raw(opElse) }

// End ends the innermost structure.
func (c *Code) End() *Code { return c.Raw(opEnd) }

// Br jumps to a label.
func (c *Code) Br(label uint32) *Code { return c.index(opBr, label) }

// BrIf jumps to a label if the i32 on the stack is not zero.
func (c *Code) BrIf(label uint32) *Code { return c.index(opBrIf, label) }

// Return returns from the function.
func (c *Code) Return() *Code { return c.Raw(opReturn) }

// Call calls a function.
func (c *Code) Call(function uint32) *Code { return c.index(opCall, function) }

// CallIndirect calls the function in the first table at the index on the stack,
// which must have the type of that index in m.
func (c *Code) CallIndirect(m *Module, s Signature) *Code {
	return c.index(opCallIndirect, m.typeIndex(s)).Raw(0)
}

// Drop drops the top of the stack.
func (c *Code) Drop() *Code { return c.Raw(opDrop) }

// Variables.

// Get pushes a local; the parameters are the first.
func (c *Code) Get(local uint32) *Code { return c.index(opLocalGet, local) }

// Set pops into a local.
func (c *Code) Set(local uint32) *Code { return c.index(opLocalSet, local) }

// Tee copies the top of the stack into a local.
func (c *Code) Tee(local uint32) *Code { return c.index(opLocalTee, local) }

// GlobalGet pushes a global.
func (c *Code) GlobalGet(global uint32) *Code { return c.index(opGlobalGet, global) }

// GlobalSet pops into a global.
func (c *Code) GlobalSet(global uint32) *Code { return c.index(opGlobalSet, global) }

// Memory. Addresses are on the stack; alignment hints are 1.

// Load pushes the i32 at an address plus offset.
func (c *Code) Load(offset uint32) *Code { return c.memory(opI32Load, offset) }

// Load8 pushes the byte at an address plus offset.
func (c *Code) Load8(offset uint32) *Code { return c.memory(opI32Load8U, offset) }

// Store pops an i32 and an address, and writes it there plus offset.
func (c *Code) Store(offset uint32) *Code { return c.memory(opI32Store, offset) }

// Store8 is Store for the lowest byte.
func (c *Code) Store8(offset uint32) *Code { return c.memory(opI32Store8, offset) }

// Load64 pushes the i64 at an address plus offset.
func (c *Code) Load64(offset uint32) *Code { return c.memory(opI64Load, offset) }

// Store64 is Store for an i64.
func (c *Code) Store64(offset uint32) *Code { return c.memory(opI64Store, offset) }

func (c *Code) memory(op byte, offset uint32) *Code {
	return c.Raw(slices.Concat([]byte{op, 0}, uleb(offset))...)
}

// MemorySize pushes the memory's size in pages.
func (c *Code) MemorySize() *Code { return c.Raw(opMemorySize, 0) }

// MemoryGrow grows the memory by the pages on the stack and pushes the size
// before, or -1.
func (c *Code) MemoryGrow() *Code { return c.Raw(opMemoryGrow, 0) }

// Tables.

// RefFunc pushes a reference to a function, which must be in an element segment.
func (c *Code) RefFunc(function uint32) *Code { return c.index(opRefFunc, function) }

// TableSet pops a reference and an index, and writes it there in the table.
func (c *Code) TableSet(table uint32) *Code { return c.index(opTableSet, table) }

// Numbers.

// I32 pushes a constant.
func (c *Code) I32(v int32) *Code { return c.Raw(append([]byte{opI32Const}, sleb(int64(v))...)...) }

// I64 pushes a constant.
func (c *Code) I64(v int64) *Code { return c.Raw(append([]byte{opI64Const}, sleb(v)...)...) }

// F64 pushes a constant.
func (c *Code) F64(v float64) *Code {
	return c.Raw(binary.LittleEndian.AppendUint64([]byte{opF64Const}, math.Float64bits(v))...)
}

// Eqz is 1 for 0 and 0 for all else.
func (c *Code) Eqz() *Code { return c.Raw(opI32Eqz) }

// Eq compares two i32.
func (c *Code) Eq() *Code { return c.Raw(opI32Eq) }

// Ne compares two i32.
func (c *Code) Ne() *Code { return c.Raw(opI32Ne) }

// LtU compares two unsigned i32.
func (c *Code) LtU() *Code { return c.Raw(opI32LtU) }

// GeU compares two unsigned i32.
func (c *Code) GeU() *Code { return c.Raw(opI32GeU) }

// Add adds two i32.
func (c *Code) Add() *Code { return c.Raw(opI32Add) }

// Sub subtracts the top of the stack from what is below.
func (c *Code) Sub() *Code { return c.Raw(opI32Sub) }

// Mul multiplies two i32.
func (c *Code) Mul() *Code { return c.Raw(opI32Mul) }

// And is the bitwise and of two i32.
func (c *Code) And() *Code { return c.Raw(opI32And) }

// Or is the bitwise or of two i32.
func (c *Code) Or() *Code { return c.Raw(opI32Or) }

// ShrU shifts what is below right by the top of the stack, unsigned.
func (c *Code) ShrU() *Code { return c.Raw(opI32ShrU) }

// DivU divides what is below by the top of the stack, unsigned; by zero it traps.
func (c *Code) DivU() *Code { return c.Raw(opI32DivU) }

// Eq64 compares two i64.
func (c *Code) Eq64() *Code { return c.Raw(opI64Eq) }

// Mul64 multiplies two i64.
func (c *Code) Mul64() *Code { return c.Raw(opI64Mul) }

// Xor64 is the bitwise exclusive or of two i64.
func (c *Code) Xor64() *Code { return c.Raw(opI64Xor) }

// ShrU64 shifts what is below right by the top of the stack, both i64, unsigned.
func (c *Code) ShrU64() *Code { return c.Raw(opI64ShrU) }

// Wrap makes the lower half of an i64 an i32.
func (c *Code) Wrap() *Code { return c.Raw(opI32WrapI64) }

// AddF64 adds two f64.
func (c *Code) AddF64() *Code { return c.Raw(opF64Add) }

// Bits64 makes the bits of an f64 an i64.
func (c *Code) Bits64() *Code { return c.Raw(opI64OfF64) }
