package wasmbin

import (
	"fmt"
	"strings"
)

// A ValType is the type of a value, as the byte that encodes it.
type ValType byte

// The value types. The last two stand for every reference to a type that the
// module defines and for non-null references: which type is not kept, so two
// of them being equal does not make the types equal.
const (
	I32       ValType = 0x7f
	I64       ValType = 0x7e
	F32       ValType = 0x7d
	F64       ValType = 0x7c
	V128      ValType = 0x7b
	FuncRef   ValType = 0x70
	ExternRef ValType = 0x6f
	ExnRef    ValType = 0x69
	RefNull   ValType = 0x63
	Ref       ValType = 0x64
)

// String returns the type's name in the text format.
func (t ValType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	case ExnRef:
		return "exnref"
	case RefNull:
		return "(ref null ...)"
	case Ref:
		return "(ref ...)"
	default:
		return fmt.Sprintf("type %#x", byte(t))
	}
}

// IsNumber reports whether the type is one of i32, i64, f32 and f64: what
// crosses between host and guest as one machine word.
func (t ValType) IsNumber() bool { return t >= F64 && t <= I32 }

// A FuncType is the signature of a function.
type FuncType struct {
	Params  []ValType
	Results []ValType
}

// String returns the signature like "(i32, i32) -> (i32)".
func (t FuncType) String() string {
	var s strings.Builder
	writeTypes(&s, t.Params)
	s.WriteString(" -> ")
	writeTypes(&s, t.Results)
	return s.String()
}

// writeTypes writes a parenthesised list.
func writeTypes(s *strings.Builder, types []ValType) {
	s.WriteByte('(')
	for i, t := range types {
		if i > 0 {
			s.WriteString(", ")
		}
		s.WriteString(t.String())
	}
	s.WriteByte(')')
}

// Heap types, as the signed numbers that encode them. Others that are negative
// belong to proposals not understood here; the rest are type indices.
const (
	heapFunc   = -0x10
	heapExtern = -0x11
	heapExn    = -0x17
)

// valType reads a value type. A type index in it must be below types.
func (r *reader) valType(types int) ValType {
	start := r.pos
	c := ValType(r.byte())
	switch c {
	case I32, I64, F32, F64, V128, FuncRef, ExternRef:
		return c
	case ExnRef:
		r.need(needExceptions)
		return c
	case RefNull, Ref:
		return r.heapType(c, types)
	default:
		r.failAt(start, Malformed, "unknown value type %#x", byte(c))
		return 0
	}
}

// refType reads a reference type.
func (r *reader) refType(types int) ValType {
	start := r.pos
	t := r.valType(types)
	if t.IsNumber() || t == V128 {
		r.failAt(start, Malformed, "%v where a reference type must be", t)
	}
	return t
}

// heapType reads what follows the byte RefNull or Ref. Nullable references to
// the types that have a name of their own become that name.
func (r *reader) heapType(ref ValType, types int) ValType {
	r.need(needTypedRefs)
	h := r.heap(types)
	if ref == Ref {
		return Ref
	}
	switch h {
	case heapFunc:
		return FuncRef
	case heapExtern:
		return ExternRef
	case heapExn:
		return ExnRef
	default:
		return RefNull
	}
}

// heap reads a heap type.
func (r *reader) heap(types int) int64 {
	start := r.pos
	h := r.signed(33)
	switch {
	case r.err != nil:
	case h == heapFunc || h == heapExtern:
	case h == heapExn:
		r.need(needExceptions)
	case h < 0:
		r.failAt(start, Malformed, "unknown heap type %d", h)
	case h >= int64(types):
		r.failAt(start, Malformed, "type index %d out of range, there are %d", h, types)
	default:
		r.need(needTypedRefs)
	}
	return h
}
