package wasmbin

import "strconv"

// Bits of the number that starts an element segment.
const (
	elemPassive  = 1 // or declared, with elemExplicit; neither has an offset
	elemExplicit = 2 // names its table, when active
	elemExprs    = 4 // the entries are expressions, not function indices
)

// Modes of a data segment, the number that starts it.
const (
	dataActive = iota
	dataPassive
	dataMemory // active, and names its memory
)

// elements decodes the element section.
func (s *scanner) elements() {
	n := s.count("element segments", 3, MaxElementSegments)
	s.m.ElementSegments = n
	for ; n > 0 && s.err == nil; n-- {
		s.elementSegment()
	}
}

// elementSegment decodes one segment: what a table's elements start as.
func (s *scanner) elementSegment() {
	start := s.pos
	mode := s.u32()
	if mode > elemPassive|elemExplicit|elemExprs {
		s.failAt(start, Malformed, "unknown element segment mode %d", mode)
		return
	}
	active := mode&elemPassive == 0
	if active && mode&elemExplicit != 0 {
		s.u32() // the table; the compiler checks that it exists and fits
	}
	if active {
		s.constExpr()
	}
	exprs := mode&elemExprs != 0
	switch {
	case mode&(elemPassive|elemExplicit) == 0: // the type is left out
	case exprs:
		s.refType(len(s.m.Types))
	default:
		s.zero("the kind of an element segment")
	}
	if exprs {
		for n := s.count("elements", 2, MaxElements); n > 0 && s.err == nil; n-- {
			s.constExpr()
		}
		return
	}
	for n := s.count("elements", 1, MaxElements); n > 0 && s.err == nil; n-- {
		s.index("function", len(s.funcs))
	}
}

// dataCount decodes the data count section, the number of data segments for
// those who compile the code in front of them.
func (s *scanner) dataCount() {
	s.segments = int64(s.u32())
	if s.segments > MaxDataSegments {
		s.fail(Limit, "%d data segments announced, the limit is %d", s.segments, MaxDataSegments)
	}
}

// data decodes the data section.
func (s *scanner) data() {
	n := s.count("data segments", 2, MaxDataSegments)
	s.m.DataSegments = n
	for ; n > 0 && s.err == nil; n-- {
		s.dataSegment()
	}
}

// dataSegment decodes one segment: the expression of its offset, which is nil if
// it is passive, and its content. Both alias the file.
func (s *scanner) dataSegment() (offset, content []byte) {
	start := s.pos
	mode := s.u32()
	switch mode {
	case dataActive, dataPassive:
	case dataMemory:
		s.index("memory", 1)
	default:
		s.failAt(start, Malformed, "unknown data segment mode %d", mode)
	}
	if mode != dataPassive && s.err == nil {
		start = s.pos
		s.constExpr()
		offset = s.b[start:s.pos]
	}
	n := int64(s.u32())
	start = s.pos
	s.skip(n)
	return offset, s.b[start:s.pos]
}

// quote makes a name fit for an error: quoted and not too long.
func quote(name string) string {
	const most = 64
	if len(name) > most {
		return strconv.QuoteToASCII(name[:most]) + "..."
	}
	return strconv.QuoteToASCII(name)
}
