package wasmbin

// An opcode is one byte, or two for the instructions behind a prefix: the
// prefix in the high byte and the number after it in the low one. No number
// above 0xff is known.
type opcode uint16

// The opcodes that the scan or the table below name. The full list is the
// table: whoever needs another adds it here.
const (
	opBlock              opcode = 0x02
	opLoop               opcode = 0x03
	opIf                 opcode = 0x04
	opElse               opcode = 0x05
	opEnd                opcode = 0x0b
	opTryTable           opcode = 0x1f
	opI32Const           opcode = 0x41
	opF64Const           opcode = 0x44
	opI32Add             opcode = 0x6a
	opI32Mul             opcode = 0x6c
	opI64Add             opcode = 0x7c
	opI64Mul             opcode = 0x7e
	opUnreachable        opcode = 0x00
	opThrow              opcode = 0x08
	opThrowRef           opcode = 0x0a
	opBr                 opcode = 0x0c
	opBrIf               opcode = 0x0d
	opBrTable            opcode = 0x0e
	opReturn             opcode = 0x0f
	opCall               opcode = 0x10
	opCallIndirect       opcode = 0x11
	opReturnCall         opcode = 0x12
	opReturnCallIndirect opcode = 0x13
	opCallRef            opcode = 0x14
	opReturnCallRef      opcode = 0x15
	opLocalGet           opcode = 0x20
	opLocalTee           opcode = 0x22
	opMemoryGrow         opcode = 0x40
	opI64Const           opcode = 0x42
	opI32LtS             opcode = 0x48
	opI64LtS             opcode = 0x53
	opI32Sub             opcode = 0x6b
	opI32Or              opcode = 0x72
	opI64Sub             opcode = 0x7d
	opI64ShrU            opcode = 0x88
	opI64ExtendI32U      opcode = 0xad
	opBrOnNull           opcode = 0xd5
	opBrOnNonNull        opcode = 0xd6
	opGlobalGet          opcode = 0x23
	opGlobalSet          opcode = 0x24
	opTableSet           opcode = 0x26
	opRefNull            opcode = 0xd0
	opRefFunc            opcode = 0xd2
	opMemoryInit         opcode = prefixMisc<<8 | 0x08
	opDataDrop           opcode = prefixMisc<<8 | 0x09
	opTableInit          opcode = prefixMisc<<8 | 0x0c
	opElemDrop           opcode = prefixMisc<<8 | 0x0d
	opTableCopy          opcode = prefixMisc<<8 | 0x0e
	opTableGrow          opcode = prefixMisc<<8 | 0x0f
	opTableFill          opcode = prefixMisc<<8 | 0x11
	opV128Const          opcode = prefixVector<<8 | 0x0c
	opMemoryCopy         opcode = prefixMisc<<8 | 0x0a
	opMemoryFill         opcode = prefixMisc<<8 | 0x0b
	prefixMisc                  = 0xfc
	prefixVector                = 0xfd
	prefixAtomic                = 0xfe
)

// An operand says what follows an opcode.
type operand uint8

// The shapes of immediates. Zero marks an opcode that does not exist.
const (
	immUnknown    operand = iota
	immNone               // nothing
	immIndex              // an index or a label
	immIndexPair          // two of them
	immBlock              // a block type
	immTryTable           // a block type and catch clauses
	immBranches           // a vector of labels and one more
	immMemory             // alignment and offset
	immMemoryLane         // these and a lane
	immLane               // a lane
	immI32                // a signed number of 32 bits
	immI64                // a signed number of 64 bits
	immF32                // 4 bytes
	immF64                // 8 bytes
	immV128               // 16 bytes
	immSelect             // a vector of exactly one value type
	immHeap               // a heap type
	immZero               // a reserved zero byte: memory index or fence
	immZeroPair           // two of them
	immIndexZero          // an index and a reserved zero byte
	immPrefix             // the rest of the opcode
)

// An opcodeInfo is an entry of the tables.
type opcodeInfo struct {
	imm   operand
	needs featureSet
}

// Tables by opcode, and by the number after each prefix. They are never
// written after this.
var (
	plainOpcodes  = plainTable()
	miscOpcodes   = miscTable()
	vectorOpcodes = vectorTable()
	atomicOpcodes = atomicTable()
)

// An opcodeRange gives first to last the same entry.
type opcodeRange struct {
	first, last byte
	opcodeInfo
}

// fill builds a table from ranges; later ones override earlier ones.
func fill(ranges []opcodeRange) (table [256]opcodeInfo) {
	for _, r := range ranges {
		for op := int(r.first); op <= int(r.last); op++ {
			table[op] = r.opcodeInfo
		}
	}
	return table
}

// plainTable lists the opcodes of one byte. The legacy exception instructions
// (0x06, 0x07, 0x09, 0x18, 0x19) are left out: the runtime refuses them.
func plainTable() [256]opcodeInfo {
	return fill([]opcodeRange{
		{0x00, 0x01, opcodeInfo{immNone, 0}},                             // unreachable, nop
		{0x02, 0x04, opcodeInfo{immBlock, 0}},                            // block, loop, if
		{0x05, 0x05, opcodeInfo{immNone, 0}},                             // else
		{0x08, 0x08, opcodeInfo{immIndex, needExceptions}},               // throw
		{0x0a, 0x0a, opcodeInfo{immNone, needExceptions}},                // throw_ref
		{0x0b, 0x0b, opcodeInfo{immNone, 0}},                             // end
		{0x0c, 0x0d, opcodeInfo{immIndex, 0}},                            // br, br_if
		{0x0e, 0x0e, opcodeInfo{immBranches, 0}},                         // br_table
		{0x0f, 0x0f, opcodeInfo{immNone, 0}},                             // return
		{0x10, 0x10, opcodeInfo{immIndex, 0}},                            // call
		{0x11, 0x11, opcodeInfo{immIndexPair, 0}},                        // call_indirect
		{0x12, 0x12, opcodeInfo{immIndex, needTailCall}},                 // return_call
		{0x13, 0x13, opcodeInfo{immIndexPair, needTailCall}},             // return_call_indirect
		{0x14, 0x14, opcodeInfo{immIndex, needTypedRefs}},                // call_ref
		{0x15, 0x15, opcodeInfo{immIndex, needTypedRefs | needTailCall}}, // return_call_ref
		{0x1a, 0x1b, opcodeInfo{immNone, 0}},                             // drop, select
		{0x1c, 0x1c, opcodeInfo{immSelect, 0}},                           // select with types
		{0x1f, 0x1f, opcodeInfo{immTryTable, needExceptions}},            // try_table
		{0x20, 0x26, opcodeInfo{immIndex, 0}},                            // local., global., table.get and set
		{0x28, 0x3e, opcodeInfo{immMemory, 0}},                           // loads and stores
		{0x3f, 0x40, opcodeInfo{immZero, 0}},                             // memory.size, memory.grow
		{0x41, 0x41, opcodeInfo{immI32, 0}},                              // i32.const
		{0x42, 0x42, opcodeInfo{immI64, 0}},                              // i64.const
		{0x43, 0x43, opcodeInfo{immF32, 0}},                              // f32.const
		{0x44, 0x44, opcodeInfo{immF64, 0}},                              // f64.const
		{0x45, 0xc4, opcodeInfo{immNone, 0}},                             // comparisons, arithmetic, conversions
		{0xd0, 0xd0, opcodeInfo{immHeap, 0}},                             // ref.null
		{0xd1, 0xd1, opcodeInfo{immNone, 0}},                             // ref.is_null
		{0xd2, 0xd2, opcodeInfo{immIndex, 0}},                            // ref.func
		{0xd4, 0xd4, opcodeInfo{immNone, needTypedRefs}},                 // ref.as_non_null
		{0xd5, 0xd6, opcodeInfo{immIndex, needTypedRefs}},                // br_on_null, br_on_non_null
		{prefixMisc, prefixAtomic, opcodeInfo{immPrefix, 0}},
	})
}

// miscTable lists what follows 0xfc.
func miscTable() [256]opcodeInfo {
	return fill([]opcodeRange{
		{0x00, 0x07, opcodeInfo{immNone, 0}},      // saturating truncations
		{0x08, 0x08, opcodeInfo{immIndexZero, 0}}, // memory.init
		{0x09, 0x09, opcodeInfo{immIndex, 0}},     // data.drop
		{0x0a, 0x0a, opcodeInfo{immZeroPair, 0}},  // memory.copy
		{0x0b, 0x0b, opcodeInfo{immZero, 0}},      // memory.fill
		{0x0c, 0x0c, opcodeInfo{immIndexPair, 0}}, // table.init
		{0x0d, 0x0d, opcodeInfo{immIndex, 0}},     // elem.drop
		{0x0e, 0x0e, opcodeInfo{immIndexPair, 0}}, // table.copy
		{0x0f, 0x11, opcodeInfo{immIndex, 0}},     // table.grow, size, fill
	})
}

// vectorTable lists what follows 0xfd.
func vectorTable() [256]opcodeInfo {
	table := fill([]opcodeRange{
		{0x00, 0x0b, opcodeInfo{immMemory, 0}},     // v128.load..., v128.store
		{0x0c, 0x0d, opcodeInfo{immV128, 0}},       // v128.const, i8x16.shuffle
		{0x0e, 0x14, opcodeInfo{immNone, 0}},       // swizzle, splats
		{0x15, 0x22, opcodeInfo{immLane, 0}},       // extract and replace lane
		{0x23, 0x53, opcodeInfo{immNone, 0}},       // comparisons, bitwise operations
		{0x54, 0x5b, opcodeInfo{immMemoryLane, 0}}, // v128.load8_lane ... v128.store64_lane
		{0x5c, 0x5d, opcodeInfo{immMemory, 0}},     // v128.load32_zero, v128.load64_zero
		{0x5e, 0xff, opcodeInfo{immNone, 0}},       // arithmetic, conversions
	})
	// Numbers never assigned, or assigned by proposals that came to nothing.
	for _, op := range []byte{
		0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb,
		0xc2, 0xc5, 0xc6, 0xcf, 0xd0, 0xd2, 0xd3, 0xd4, 0xe2, 0xee,
	} {
		table[op] = opcodeInfo{}
	}
	return table
}

// atomicTable lists what follows 0xfe.
func atomicTable() [256]opcodeInfo {
	return fill([]opcodeRange{
		{0x00, 0x02, opcodeInfo{immMemory, needThreads}}, // notify, wait32, wait64
		{0x03, 0x03, opcodeInfo{immZero, needThreads}},   // atomic.fence
		{0x10, 0x4e, opcodeInfo{immMemory, needThreads}}, // loads, stores, read-modify-write
	})
}
