package wasmbin

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// appendSigned appends v as signed LEB128 in the shortest form.
func appendSigned(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func TestReader_signed(t *testing.T) {
	t.Parallel()
	for _, bits := range []int{32, 33, 64} {
		least, most := int64(-1)<<(bits-1), int64(math.MaxInt64)>>(64-bits)
		for _, v := range []int64{0, 1, -1, 63, 64, -64, -65, 1 << 27, -1 << 27, 1 << 30, least, least + 1, most, most - 1} {
			b := appendSigned(nil, v)
			r := reader{b: b, end: len(b), section: "test"}
			require.Equal(t, v, r.signed(bits), "%d bits of %x", bits, b)
			require.Nil(t, r.err, "%d bits of %x", bits, b)
			require.Equal(t, len(b), r.pos)
		}
		if bits == 64 {
			continue
		}
		for _, v := range []int64{least - 1, most + 1, math.MinInt64, math.MaxInt64} {
			b := appendSigned(nil, v)
			r := reader{b: b, end: len(b), section: "test"}
			r.signed(bits)
			require.NotNil(t, r.err, "%d in %d bits", v, bits)
		}
	}
}

// shapes are the immediates that the test below writes for each shape.
var shapes = map[operand][]byte{
	immNone:       {},
	immIndex:      {0xff, 0xff, 0xff, 0xff, 0x0f},
	immIndexPair:  {0x81, 0, 2},
	immBlock:      {0x63, 0},
	immTryTable:   {0x40, 3, 0, 1, 0x80, 0, 2, 0, 3, 0},
	immBranches:   {2, 0, 0x81, 0, 0},
	immMemory:     {2, 0x80, 0x80, 4},
	immMemoryLane: {2, 0x80, 1, 7},
	immLane:       {15},
	immI32:        {0x80, 0x7f},
	immI64:        {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f},
	immF32:        {1, 2, 3, 4},
	immF64:        {1, 2, 3, 4, 5, 6, 7, 8},
	immV128:       {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
	immSelect:     {1, 0x64, 0x70},
	immHeap:       {0x6f},
	immZero:       {0},
	immZeroPair:   {0, 0},
	immIndexZero:  {5, 0},
}

// everyInstruction writes each opcode of each table with immediates of its
// shape, and returns what a scan must find.
func everyInstruction(t *testing.T) (code []byte, want []instr) {
	t.Helper()
	add := func(op opcode, imm operand, encoded ...byte) {
		if imm == immUnknown || imm == immPrefix {
			return
		}
		require.Contains(t, shapes, imm)
		in := instr{op: op, start: len(code)}
		in.imm = in.start + len(encoded)
		in.end = in.imm + len(shapes[imm])
		switch imm {
		case immIndex:
			in.index = math.MaxUint32
		case immIndexPair:
			in.index = 1
		case immIndexZero:
			in.index = 5
		default: // no index
		}
		code = append(append(code, encoded...), shapes[imm]...)
		want = append(want, in)
	}
	for n, info := range plainOpcodes {
		add(opcode(n), info.imm, byte(n))
	}
	for prefix, table := range map[byte][256]opcodeInfo{
		prefixMisc: miscOpcodes, prefixVector: vectorOpcodes, prefixAtomic: atomicOpcodes,
	} {
		for n, info := range table {
			number := []byte{byte(n)}
			if n > 0x7f {
				number = []byte{byte(n), 1}
			}
			add(opcode(prefix)<<8|opcode(n), info.imm, append([]byte{prefix}, number...)...)
		}
	}
	// Behind 0xfc any encoding of the number will do.
	add(opcode(prefixMisc)<<8|8, immIndexZero, prefixMisc, 0x88, 0x80, 0)
	return code, want
}

// TestCodeScanner_spans checks the span of every instruction: each opcode of each
// table with an immediate of its shape, one after the other.
func TestCodeScanner_spans(t *testing.T) {
	t.Parallel()
	code, want := everyInstruction(t)
	require.Len(t, want, 193+18+236+67+1)

	s := codeScanner{reader: reader{b: code, end: len(code), section: "test"}, typeCount: 1}
	var got []instr
	var in instr
	for s.next(&in) {
		got = append(got, in)
	}
	require.Nil(t, s.err)
	require.Equal(t, want, got)

	// Cut anywhere, the iterator stops at the last whole instruction.
	for n := range code {
		s := codeScanner{reader: reader{b: code[:n], end: n, section: "test"}, typeCount: 1}
		whole := 0
		for s.next(&in) {
			whole++
		}
		expected, exact := slices.BinarySearchFunc(want, n, func(in instr, n int) int { return in.end - n })
		if exact {
			expected++
		}
		require.Equal(t, expected, whole)
		require.Equal(t, n != 0 && !exact, s.err != nil)
	}
}
