package wasmbin

// code decodes the code section: the functions' locals and instructions.
func (s *scanner) code() {
	s.typeCount = len(s.m.Types)
	s.m.CodeSize = s.left()
	// A body belongs to the type at the same place in the function section, so
	// with different numbers none of them means anything.
	start := s.pos
	n := s.count("functions", 3, MaxFunctions)
	if n != s.m.Functions {
		s.failAt(start, Malformed, "%d functions declared and %d defined", s.m.Functions, n)
	}
	end := s.end
	for ; n > 0 && s.err == nil; n-- {
		s.end = end
		s.body()
		s.bodies++
	}
	s.end = end
}

// body decodes one function. Blocks must nest and the last byte must be the
// end of the outermost one; this is what later rewriting relies on.
func (s *scanner) body() {
	start := s.pos
	size := int64(s.u32())
	switch {
	case size > int64(s.left()):
		s.failAt(start, Malformed, "function of %d bytes announced with %d bytes left", size, s.left())
	case size > MaxFunctionSize:
		s.failAt(start, Limit, "function of %d bytes, the limit is %d", size, MaxFunctionSize)
	}
	if s.err != nil {
		return
	}
	s.end = s.pos + int(size)
	s.localTypes()
	s.expression()
	if s.pos != s.end {
		s.fail(Malformed, "%d bytes after the end of a function", s.left())
	}
}

// expression decodes the instructions of a function up to its own end.
func (s *scanner) expression() {
	// blocks holds how each open block started, the function as opBlock.
	blocks := append(s.blocks[:0], byte(opBlock))
	loops := 0 // how many of these are loops
	var in instr
	for len(blocks) > 0 {
		if !s.next(&in) {
			s.failEnd()
			return
		}
		top := blocks[len(blocks)-1]
		switch in.op {
		case opBlock, opLoop, opIf, opTryTable:
			if in.op == opLoop {
				loops++
			}
			if len(blocks) > MaxNesting || loops > MaxLoopNesting {
				s.failAt(in.start, Limit, "%d blocks nest, %d of them loops, the limits are %d and %d",
					len(blocks), loops, MaxNesting, MaxLoopNesting)
				return
			}
			blocks = append(blocks, byte(in.op))
		case opElse:
			if top != byte(opIf) {
				s.failAt(in.start, Malformed, "else without if")
				return
			}
			blocks[len(blocks)-1] = byte(opElse)
		case opEnd:
			if top == byte(opLoop) {
				loops--
			}
			blocks = blocks[:len(blocks)-1]
		case opGlobalSet, opTableSet, opTableInit, opTableCopy, opTableGrow, opTableFill,
			opElemDrop, opMemoryInit, opDataDrop, opRefFunc:
			if s.uses != nil {
				s.use(in.op, in.index)
			}
		default: // nothing that nests
		}
	}
	s.blocks = blocks
}

// localTypes decodes the locals of a function: runs of one type.
func (s *scanner) localTypes() {
	total := int64(0)
	for n := s.count("runs of locals", 2, MaxLocals); n > 0 && s.err == nil; n-- {
		start := s.pos
		total += int64(s.u32())
		s.valType(s.typeCount)
		if total > MaxLocals {
			s.failAt(start, Limit, "%d locals in a function, the limit is %d", total, MaxLocals)
		}
	}
	if s.locals += total; s.locals > MaxModuleLocals {
		s.fail(Limit, "%d locals in the module, the limit is %d", s.locals, MaxModuleLocals)
	}
}

// constExpr decodes a constant expression: the initial value of a global, a
// table or an element, or the offset of a segment.
func (s *scanner) constExpr() {
	s.typeCount = len(s.m.Types)
	var in instr
	for {
		if !s.next(&in) {
			s.failEnd()
			return
		}
		switch op := in.op; {
		case op == opEnd:
			return
		case op == opRefFunc:
			if int64(in.index) >= int64(len(s.funcs)) {
				s.failAt(in.imm, Malformed, "function index %d out of range, there are %d", in.index, len(s.funcs))
			}
		case op == opGlobalGet:
			if s.uses != nil && int64(in.index) >= int64(s.m.Globals) {
				s.uses.stray = true // for the compiler to refuse
			}
		case op >= opI32Const && op <= opF64Const, op == opRefNull, op == opV128Const:
		case op >= opI32Add && op <= opI32Mul, op >= opI64Add && op <= opI64Mul:
			s.need(needExtendedConst)
		default:
			s.failAt(in.start, Malformed, "opcode %#x in a constant expression", uint16(op))
		}
	}
}
