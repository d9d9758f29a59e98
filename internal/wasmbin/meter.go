package wasmbin

import (
	"encoding/binary"
	"fmt"
)

// What things cost, in units of fuel: one for an instruction, and for these
// more.
const (
	growCost  = 64 // memory.grow, which leaves the guest
	bulkShift = 4  // memory.copy and its like: one for each so many bytes, as a power of two
)

// costSize is the size of a cost in code, which is known only after the code that it
// is for has been written: a number in five bytes, however small.
const costSize = 5

// A meter rewrites the bodies of functions.
type meter struct {
	*scanner

	mode  Mode
	grows bool // code grows a table
	out   []byte
	from  int // up to where the source has been written

	// Code that is the same at each place.
	stop   []byte // pushes the flag
	look   []byte // traps if the flag is up, or fuel below zero
	charge []byte // takes a cost from the fuel
	empty  []byte // traps if fuel is below zero

	// Of the function being written.
	shape   shape
	depth   []byte // sets the depth to this function's
	tail    []byte // and to what it was entered with
	cost    int64
	costAt  int  // in out; 0 for a run of code that has not begun
	skipped bool // what follows is not reached
}

// A shape is what a function has in it.
type shape struct {
	calls  bool // any
	loops  bool
	bulk   bool
	locals uint64 // with parameters
}

func newMeter(s *scanner, mode Mode) *meter {
	m := &meter{scanner: s, mode: mode}
	stop, fuel := uint64(s.m.Globals), uint64(s.m.Globals)+2
	m.stop = op(opGlobalGet, stop)
	trap := []byte{byte(opIf), 0x40, byte(opUnreachable), byte(opEnd)}
	m.look = append(append([]byte{}, m.stop...), trap...)
	if mode != Fuel {
		return m
	}
	below := append(op(opGlobalGet, fuel), byte(opI64Const), 0, byte(opI64LtS))
	m.empty = append(append([]byte{}, below...), trap...)
	m.look = append(append(append(below, m.stop...), byte(opI32Or)), trap...)
	m.charge = append(op(opGlobalGet, fuel), byte(opI64Const), 0, 0, 0, 0, 0, byte(opI64Sub))
	m.charge = append(m.charge, op(opGlobalSet, fuel)...)
	return m
}

// op encodes an instruction of one byte with an index.
func op(o opcode, index uint64) []byte { return binary.AppendUvarint([]byte{byte(o)}, index) }

// code returns the code section with all bodies rewritten.
func (m *meter) code(from []byte) ([]byte, error) {
	m.b, m.pos, m.end, m.section = from, 0, len(from), sections[secCode].name
	m.typeCount = len(m.m.Types)
	n := m.count("functions", 3, MaxFunctions)
	all := binary.AppendUvarint(make([]byte, 0, len(from)+len(from)/4), uint64(n))
	first := len(m.funcs) - n
	for i := range n {
		start := m.pos
		size := int(m.u32())
		body := m.pos
		sh, err := m.survey(body+size, len(m.m.Types[m.funcs[first+i]].Params))
		if err != nil {
			return nil, fmt.Errorf("%w", err)
		}
		if m.mode == Plain {
			continue
		}
		if m.mode == Flag && !sh.calls && !sh.loops {
			all = append(all, from[start:body+size]...)
			continue
		}
		m.shape = sh
		m.pos = body
		m.function(body + size)
		all = append(binary.AppendUvarint(all, uint64(len(m.out))), m.out...)
	}
	return all, nil
}

// survey reads a function up to its end.
func (m *meter) survey(end, params int) (sh shape, err error) {
	m.end = end
	defer func() { m.pos, m.end = end, len(m.b) }()
	sh.locals = uint64(params)
	own := uint64(0)
	for n := m.u32(); n > 0; n-- {
		own += uint64(m.u32())
		m.valType(m.typeCount)
	}
	sh.locals += own
	const room = 2
	if m.mode != Plain && own > MaxLocals-room {
		return sh, &UnfitError{Reason: fmt.Sprintf("a function has %d locals, the limit is %d", own, MaxLocals-room)}
	}
	var in instr
	for m.next(&in) {
		switch in.op {
		case opLoop:
			sh.loops = true
		case opCall, opCallIndirect, opCallRef, opReturnCall, opReturnCallIndirect, opReturnCallRef:
			sh.calls = true
		case opMemoryCopy, opMemoryFill, opMemoryInit, opTableFill, opTableCopy, opTableInit:
			sh.bulk = true
		case opTableGrow:
			sh.bulk, m.grows = true, true
		case opGlobalGet, opGlobalSet:
			if m.mode != Plain && int64(in.index) >= int64(m.m.Globals) {
				return sh, &UnfitError{Reason: fmt.Sprintf("code names global %d, there are %d", in.index, m.m.Globals)}
			}
		case opLocalGet, opLocalGet + 1, opLocalTee:
			if m.mode != Plain && uint64(in.index) >= sh.locals {
				return sh, &UnfitError{Reason: fmt.Sprintf("code names local %d, there are %d", in.index, sh.locals)}
			}
		default: // nothing of interest
		}
	}
	if m.err != nil {
		return sh, m.err // the scanner has found none here before
	}
	return sh, nil
}

// function writes the function from m.pos to end into m.out.
func (m *meter) function(end int) {
	m.end = end
	defer func() { m.end = len(m.b) }()
	m.out, m.cost, m.costAt, m.skipped = m.out[:0], 0, 0, false
	m.locals()
	m.from = m.pos
	if m.mode == Fuel {
		m.begin()
	}
	if m.shape.calls {
		m.enter()
	}
	var in instr
	for m.next(&in) {
		m.instruction(&in)
	}
	m.flush(end)
	m.settle()
}

// locals writes the function's locals, and two more: the depth, and the length of a bulk
// operation.
func (m *meter) locals() {
	n := m.u32()
	runs := m.pos
	for i := n; i > 0; i-- {
		m.u32()
		m.valType(m.typeCount)
	}
	m.out = binary.AppendUvarint(m.out, uint64(n)+1)
	m.out = append(append(m.out, m.b[runs:m.pos]...), 2, byte(I32))
	depth := uint64(m.m.Globals) + 1
	m.depth = append(op(opLocalGet, m.shape.locals), op(opGlobalSet, depth)...)
	m.tail = append(op(opLocalGet, m.shape.locals), byte(opI32Const), 1, byte(opI32Add))
	m.tail = append(m.tail, op(opGlobalSet, depth)...)
}

// enter writes what a function that calls others does first: it counts itself, and traps
// if the flag is up or the stack too deep. The depth that is left tells which.
func (m *meter) enter() {
	depth := uint64(m.m.Globals) + 1
	m.add(op(opGlobalGet, depth)...)
	m.add(byte(opI32Const), 1, byte(opI32Sub))
	m.add(op(opLocalTee, m.shape.locals)...)
	m.add(m.stop...)
	m.add(byte(opI32Or), byte(opI32Const), 0, byte(opI32LtS), byte(opIf), 0x40, byte(opI32Const), 0x7f)
	m.add(op(opGlobalSet, depth)...)
	m.add(byte(opUnreachable), byte(opEnd))
	m.add(m.empty...)
}

func (m *meter) add(b ...byte) { m.out = append(m.out, b...) }

// flush writes the source up to there.
func (m *meter) flush(to int) {
	m.add(m.b[m.from:to]...)
	m.from = to
}

// begin begins a straight run of code.
func (m *meter) begin() {
	m.settle()
	m.add(m.charge...)
	m.costAt = len(m.out) - len(op(opGlobalSet, uint64(m.m.Globals)+2)) - 1 - costSize
	m.skipped = false
}

// settle ends a run: its cost is known.
func (m *meter) settle() {
	if m.costAt > 0 {
		for i := range costSize {
			m.out[m.costAt+i] = byte(m.cost>>(7*i))&0x7f | 0x80
		}
		m.out[m.costAt+costSize-1] &= 0x7f
	}
	m.cost, m.costAt = 0, 0
}

// instruction writes what an instruction needs before and behind it.
func (m *meter) instruction(in *instr) {
	switch in.op {
	case opEnd, opElse:
		if m.mode == Fuel {
			m.settle()
			m.skipped = false
		}
		return
	default:
		m.count1(in)
	}
	switch in.op {
	case opLoop:
		m.flush(in.end)
		if m.mode == Fuel {
			m.begin()
		}
		m.add(m.look...)
	case opCall, opCallIndirect, opCallRef:
		m.flush(in.start)
		m.add(m.depth...)
	case opReturnCall, opReturnCallIndirect, opReturnCallRef:
		m.flush(in.start)
		m.add(m.tail...)
		m.leave(true)
	case opIf, opBrIf, opBrOnNull, opBrOnNonNull:
		m.leave(false)
	case opBr, opBrTable, opReturn, opUnreachable, opThrow, opThrowRef:
		m.leave(true)
	case opMemoryCopy, opMemoryFill, opMemoryInit:
		m.bulk(in, bulkShift)
	case opTableFill, opTableCopy, opTableInit, opTableGrow:
		m.bulk(in, 0)
	default: // it runs to the next one
	}
}

// count1 counts an instruction, in a new run if none has begun.
func (m *meter) count1(in *instr) {
	if m.mode != Fuel || m.skipped {
		return
	}
	if m.costAt == 0 {
		m.flush(in.start)
		m.begin()
	}
	m.cost++
	if in.op == opMemoryGrow {
		m.cost += growCost - 1
	}
}

// leave ends a run behind an instruction that may go elsewhere, or does always.
func (m *meter) leave(always bool) {
	if m.mode == Fuel {
		m.settle()
		m.skipped = always
	}
}

// bulk takes fuel for the length of an operation, which is on top of the stack.
func (m *meter) bulk(in *instr, shift byte) {
	if m.mode != Fuel {
		return
	}
	m.flush(in.start)
	length, fuel := m.shape.locals+1, uint64(m.m.Globals)+2
	m.add(op(opLocalTee, length)...)
	m.add(op(opGlobalGet, fuel)...)
	m.add(op(opLocalGet, length)...)
	m.add(byte(opI64ExtendI32U), byte(opI64Const), shift, byte(opI64ShrU), byte(opI64Sub))
	m.add(op(opGlobalSet, fuel)...)
	m.add(m.empty...)
}
