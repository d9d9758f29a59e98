package wasmbin

// Subsections of the name section that the runtime decodes. It skips others.
const (
	namesModule = iota
	namesFunctions
	namesLocals
)

// custom decodes a custom section: its name and, for the name section, what is
// in it. The format says to ignore a custom section that is malformed, but the
// runtime believes the counts in the name section like any other.
func (s *scanner) custom() {
	start := s.pos
	name := string(s.name("custom section name", MaxNameSize))
	if len(s.m.CustomSections) >= MaxCustomSections {
		s.failAt(start, Limit, "more than %d custom sections", MaxCustomSections)
		return
	}
	if s.err != nil {
		return
	}
	s.m.CustomSections = append(s.m.CustomSections, name)
	if name != "name" {
		s.pos = s.end
		return
	}
	s.section = "name"
	if s.named {
		s.failAt(start, Malformed, "second name section")
		return
	}
	s.named = true
	for end := s.end; s.pos < end && s.err == nil; {
		s.subsection()
		s.end = end
	}
}

// subsection decodes one part of the name section. It must fill its size
// exactly: the runtime ignores the size of the parts it decodes, and would
// otherwise take the rest for something else than what was checked here.
func (s *scanner) subsection() {
	id := s.byte()
	start := s.pos
	size := int64(s.u32())
	if size > int64(s.left()) {
		s.failAt(start, Malformed, "subsection of %d bytes announced with %d bytes left", size, s.left())
		return
	}
	if s.err != nil {
		return
	}
	s.end = s.pos + int(size)
	switch id {
	case namesModule:
		s.m.Name = string(s.name("module name", MaxNameSize))
	case namesFunctions:
		s.nameMap("function names")
	case namesLocals:
		for n := s.count("functions with local names", 2, MaxFunctions); n > 0 && s.err == nil; n-- {
			s.u32()
			s.nameMap("local names")
		}
	default:
		s.pos = s.end
	}
	if s.pos != s.end {
		s.fail(Malformed, "%d bytes left over in subsection %d", s.left(), id)
	}
}

// nameMap passes over pairs of an index and a name.
func (s *scanner) nameMap(what string) {
	for n := s.count(what, 2, MaxFunctions); n > 0 && s.err == nil; n-- {
		s.u32()
		s.name("name", s.end)
	}
}
