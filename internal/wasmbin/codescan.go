package wasmbin

// A codeScanner iterates over instructions. It knows their immediates and
// nothing of their meaning: where an expression or a function ends is for the
// caller to see. Errors are those of its reader.
//
//	var in instr
//	for s.next(&in) {
//		use(in.op, s.b[in.imm:in.end])
//	}
//	if s.err != nil { ... }
type codeScanner struct {
	reader
	typeCount int // type indices in block, heap and value types must be below
}

// An instr is one instruction: b[start:end] in all, b[imm:end] its immediates.
type instr struct {
	op    opcode
	start int
	imm   int
	end   int
	// index is the first index among the immediates, for the shapes that start
	// with one (immIndex, immIndexPair, immIndexZero).
	index uint32
}

// next reads one instruction into in. It returns false at s.end and after an
// error. An out parameter because it runs once per instruction of a module, and
// returning the struct makes a scan take twice the time.
func (s *codeScanner) next(in *instr) bool {
	if s.pos >= s.end || s.err != nil {
		return false
	}
	in.op, in.start = opcode(s.b[s.pos]), s.pos
	s.pos++
	info := plainOpcodes[in.op&0xff]
	if info.imm == immPrefix {
		in.op, info = s.prefixed(byte(in.op))
	}
	if info.imm == immUnknown {
		s.failAt(in.start, Malformed, "unknown opcode %#x", uint16(in.op))
		return false
	}
	s.features |= info.needs
	in.imm, in.index = s.pos, 0
	switch info.imm {
	case immNone: // by far the most frequent, with the next one
	case immIndex:
		in.index = s.u32()
	case immIndexPair:
		in.index = s.u32()
		s.u32()
	case immIndexZero:
		in.index = s.u32()
		s.zero("a memory index")
	default:
		s.immediates(info.imm)
	}
	in.end = s.pos
	return s.err == nil
}

// prefixed reads the number after a prefix and looks the opcode up. Behind the
// vector and atomic prefixes only the shortest encoding is taken: the runtime
// reads one byte there, and takes the 0x01 that must follow a vector opcode
// above 0x7f for a nop. Any other byte would mean something else to it.
func (s *codeScanner) prefixed(prefix byte) (opcode, opcodeInfo) {
	start := s.pos
	n := s.u32()
	size := 1
	if n > 0x7f {
		size = 2
	}
	if s.err == nil && prefix != prefixMisc && s.pos-start != size {
		s.failAt(start, Malformed, "the opcode after the prefix %#x is not in its shortest form", prefix)
	}
	if n > 0xff {
		what := "unknown opcode"
		if prefix == prefixVector && n < 0x114 {
			what = "relaxed SIMD is not understood: opcode"
		}
		s.failAt(start-1, Malformed, "%s %#x %#x", what, prefix, n)
		n = 0
	}
	if s.err != nil {
		return 0, opcodeInfo{}
	}
	op := opcode(prefix)<<8 | opcode(n)
	switch prefix {
	case prefixMisc:
		return op, miscOpcodes[n]
	case prefixVector:
		return op, vectorOpcodes[n]
	default:
		return op, atomicOpcodes[n]
	}
}

// immediates passes over the immediates of the less frequent shapes.
func (s *codeScanner) immediates(imm operand) {
	switch imm {
	case immBlock:
		s.blockType()
	case immTryTable:
		s.blockType()
		s.catches()
	case immBranches:
		for n := s.count("branch targets", 1, MaxBranchTargets); n >= 0 && s.err == nil; n-- {
			s.u32() // the vector and the default target
		}
	case immMemory, immMemoryLane:
		s.memArg()
		if imm == immMemoryLane {
			s.byte()
		}
	case immLane:
		s.byte()
	case immI32:
		s.signed(32)
	case immI64:
		s.signed(64)
	case immF32:
		s.skip(4)
	case immF64:
		s.skip(8)
	case immV128:
		s.skip(16)
	case immSelect:
		if c := s.byte(); c != 1 {
			s.failAt(s.pos-1, Malformed, "select with %d types", c)
		}
		s.valType(s.typeCount)
	case immHeap:
		s.heap(s.typeCount)
	case immZeroPair:
		s.zero("a memory index")
		s.zero("a memory index")
	case immZero:
		s.zero("a memory index or reserved byte")
	default: // next has read the others
	}
}

// memArg reads alignment and offset. Alignments of 2^32 and up do not exist
// (64 and up announce a memory index, for modules with several memories).
func (s *codeScanner) memArg() {
	start := s.pos
	if align := s.u32(); align >= 32 {
		s.failAt(start, Malformed, "alignment 2^%d", align)
	}
	s.u32()
}

// blockType reads a type index, a value type or the byte of no type, all of
// which are one signed number.
func (s *codeScanner) blockType() {
	const empty = 0x40
	if s.pos >= s.end {
		s.failEnd()
		return
	}
	switch c := s.b[s.pos]; {
	case c == empty:
		s.pos++
	case c > empty && c < 0x80: // a negative number of one byte
		s.valType(s.typeCount)
	default:
		start := s.pos
		if i := s.signed(33); i < 0 {
			s.failAt(start, Malformed, "unknown block type %d", i)
		} else if i >= int64(s.typeCount) {
			s.failAt(start, Malformed, "type index %d out of range, there are %d", i, s.typeCount)
		}
	}
}

// catches reads the catch clauses of a try_table: each names a label, half of
// the kinds a tag before it.
func (s *codeScanner) catches() {
	for n := s.count("catch clauses", 2, MaxBranchTargets); n > 0 && s.err == nil; n-- {
		switch kind := s.byte(); kind {
		case 0, 1: // catch, catch_ref
			s.u32()
			s.u32()
		case 2, 3: // catch_all, catch_all_ref
			s.u32()
		default:
			s.failAt(s.pos-1, Malformed, "unknown catch clause %#x", kind)
		}
	}
}
