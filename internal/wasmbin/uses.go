package wasmbin

import "fmt"

// uses is what a scan notes for Prepare, besides the Module: what the code does
// to the parts of an instance that a worker may be unable to restore.
type uses struct {
	globals  []globalUse // imported ones first
	table    site        // changes a table
	drop     site        // drops a segment
	segments bool        // names data segments, which then must keep their numbers
	starter  bool        // takes a reference to the start function

	copies map[uint32]site // first memory.init of each segment announced

	stray bool // a constant expression names a global that does not exist
}

// A globalUse is a global.
type globalUse struct {
	valType  ValType
	mutable  bool
	imported bool
	set      bool // by code
}

// A site is the first instruction of some sort. Its op is zero if there is none.
type site struct {
	op       opcode
	function int // index, imported functions included
}

// String says which instruction it is and where.
func (t site) String() string {
	return fmt.Sprintf("%s in function %d", opcodeNames[t.op], t.function)
}

// opcodeNames are those of the opcodes that a site can have.
var opcodeNames = map[opcode]string{
	opTableSet:   "table.set",
	opTableInit:  "table.init",
	opTableCopy:  "table.copy",
	opTableGrow:  "table.grow",
	opTableFill:  "table.fill",
	opElemDrop:   "elem.drop",
	opMemoryInit: "memory.init",
	opDataDrop:   "data.drop",
}

// use notes an instruction of the function being read. Its first index may be
// out of range: that is for the compiler to refuse.
func (s *scanner) use(op opcode, index uint32) {
	u := s.uses
	here := site{op: op, function: len(s.funcs) - s.m.Functions + s.bodies}
	switch op {
	case opGlobalSet:
		if int64(index) < int64(len(u.globals)) {
			u.globals[index].set = true
		}
	case opRefFunc:
		u.starter = u.starter || (s.m.HasStart && index == s.m.Start)
	case opMemoryInit:
		u.segments = true
		if _, ok := u.copies[index]; !ok && int64(index) < s.segments {
			if u.copies == nil {
				u.copies = make(map[uint32]site)
			}
			u.copies[index] = here
		}
	case opDataDrop, opElemDrop:
		if u.drop.op == 0 {
			u.drop = here
		}
	default:
		if u.table.op == 0 {
			u.table = here
		}
	}
}
