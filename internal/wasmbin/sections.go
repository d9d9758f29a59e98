package wasmbin

import "slices"

// functionForm starts a function type, recGroup a group of types that may
// refer to each other.
const (
	functionForm = 0x60
	recGroup     = 0x4e
)

// types decodes the type section. Its entries are types or groups of types.
func (s *scanner) types() {
	// The shortest entry is an empty group of two bytes, the shortest type
	// takes three. One array holds all value types: each takes a byte or more.
	n := s.count("types", 2, MaxTypes)
	s.m.Types = make([]FuncType, 0, min(n, s.left()/3))
	values := make([]ValType, 0, s.left())
	for ; n > 0 && s.err == nil; n-- {
		// A type may refer to earlier ones and to those of its own group, but
		// outside a group not to itself.
		group, known := 1, len(s.m.Types)
		if s.pos < s.end && s.b[s.pos] == recGroup {
			s.pos++
			s.need(needTypedRefs)
			group = s.count("types", 3, MaxTypes)
			known += group
		}
		if len(s.m.Types)+group > MaxTypes {
			s.fail(Limit, "more than %d types", MaxTypes)
			return
		}
		s.m.Types = slices.Grow(s.m.Types, group)
		for ; group > 0 && s.err == nil; group-- {
			values = s.funcType(values, known)
		}
	}
}

// funcType decodes one type, appending its value types to values. It may refer
// to the first known types.
func (s *scanner) funcType(values []ValType, known int) []ValType {
	start := s.pos
	if c := s.byte(); c != functionForm {
		s.failAt(start, Malformed, "type form %#x is not understood", c)
		return values
	}
	list := func(what string, limit int) []ValType {
		from := len(values)
		for n := s.count(what, 1, limit); n > 0 && s.err == nil; n-- {
			values = append(values, s.valType(known))
		}
		return values[from:len(values):len(values)]
	}
	t := FuncType{Params: list("parameters", MaxParams), Results: list("results", MaxResults)}
	s.m.Types = append(s.m.Types, t)
	return values
}

// imports decodes the import section.
func (s *scanner) imports() {
	n := s.count("imports", 4, MaxImports)
	s.m.Imports = make([]Import, 0, n)
	for ; n > 0 && s.err == nil; n-- {
		imp := Import{
			Module: string(s.name("import module name", MaxNameSize)),
			Name:   string(s.name("import name", MaxNameSize)),
		}
		start := s.pos
		imp.Kind = ExternKind(s.byte())
		switch imp.Kind {
		case KindFunc:
			imp.Func = s.function()
		case KindTable:
			s.table(true)
		case KindMemory:
			s.memory(true)
		case KindGlobal:
			s.globalType(true)
			s.m.Globals++
		case KindTag:
			s.tag()
		default:
			s.failAt(start, Malformed, "unknown import kind %#x", byte(imp.Kind))
		}
		s.m.Imports = append(s.m.Imports, imp)
	}
}

// functions decodes the function section: a type for each function defined.
func (s *scanner) functions() {
	n := s.count("functions", 1, MaxFunctions-len(s.funcs))
	s.m.Functions = n
	all := make([]uint32, len(s.funcs), len(s.funcs)+n)
	copy(all, s.funcs)
	s.funcs = all
	for ; n > 0 && s.err == nil; n-- {
		s.function()
	}
}

// function reads the type index of the next function. It returns nil after an
// error.
func (s *scanner) function() *FuncType {
	i := s.index("type", len(s.m.Types))
	if s.err != nil {
		return nil
	}
	s.funcs = append(s.funcs, i)
	return &s.m.Types[i]
}

// tables decodes the table section.
func (s *scanner) tables() {
	n := s.count("tables", 3, MaxTables-len(s.m.Tables))
	s.m.Tables = slices.Grow(s.m.Tables, n)
	for ; n > 0 && s.err == nil; n-- {
		s.table(false)
	}
}

// table decodes one table's type, and the initial value that one defined here
// may have.
func (s *scanner) table(imported bool) {
	start := s.pos
	initialized := !imported && s.hasPrefix("\x40")
	if initialized {
		s.pos++
		s.need(needTypedRefs)
		s.zero("a reserved byte of a table")
	}
	t := Table{Type: s.refType(len(s.m.Types)), Imported: imported}
	var flags byte
	flags, t.Min, t.Max = s.limits()
	t.HasMax = flags&limitMax != 0
	if flags&limitShared != 0 {
		s.failAt(start, Malformed, "a shared table")
	}
	if len(s.m.Tables) >= MaxTables { // by imports: tables has checked its own
		s.failAt(start, Limit, "more than %d tables", MaxTables)
	}
	if s.tableElements += t.Min; s.tableElements > MaxTableElements {
		s.failAt(start, Limit, "tables of %d elements from the start, the limit is %d", s.tableElements, MaxTableElements)
	}
	if initialized {
		s.constExpr()
	}
	s.m.Tables = append(s.m.Tables, t)
}

// Bits of the byte in front of the limits of tables and memories.
const (
	limitMax    = 1
	limitShared = 2
	limit64     = 4
)

// limits decodes the size limits of a table or a memory.
func (s *scanner) limits() (flags byte, least, most uint64) {
	start := s.pos
	flags = s.byte()
	if flags&limit64 != 0 && flags < 2*limit64 {
		s.failAt(start, Malformed, "64-bit memories and tables are not understood")
	}
	if flags >= limit64 {
		s.failAt(start, Malformed, "unknown limits %#x", flags)
	}
	least = uint64(s.u32())
	if flags&limitMax == 0 {
		return flags, least, 0
	}
	if most = uint64(s.u32()); most < least {
		s.failAt(start, Malformed, "minimum %d above maximum %d", least, most)
	}
	return flags, least, most
}

// memories decodes the memory section.
func (s *scanner) memories() {
	for n := s.count("memories", 2, MaxImports); n > 0 && s.err == nil; n-- {
		s.memory(false)
	}
}

// memory decodes one memory's type. A module has at most one.
func (s *scanner) memory(imported bool) {
	start := s.pos
	if s.m.Memory != nil {
		s.fail(Malformed, "more than one memory is not understood")
		return
	}
	m := &Memory{Imported: imported}
	var flags byte
	flags, m.Min, m.Max = s.limits()
	m.HasMax = flags&limitMax != 0
	m.Shared = flags&limitShared != 0
	switch {
	case m.Min > MaxMemoryPages || m.Max > MaxMemoryPages:
		s.failAt(start, Malformed, "memory of %d pages, there can be %d", max(m.Min, m.Max), MaxMemoryPages)
	case m.Shared && !m.HasMax:
		s.failAt(start, Malformed, "a shared memory without a maximum")
	case m.Shared:
		s.need(needThreads)
	}
	s.m.Memory = m
}

// tags decodes the tag section.
func (s *scanner) tags() {
	for n := s.count("tags", 2, MaxTags-s.m.Tags); n > 0 && s.err == nil; n-- {
		s.tag()
	}
}

// tag decodes one exception tag.
func (s *scanner) tag() {
	s.need(needExceptions)
	s.zero("a tag's attribute")
	s.index("type", len(s.m.Types))
	s.m.Tags++
}

// globals decodes the global section.
func (s *scanner) globals() {
	n := s.count("globals", 4, MaxGlobals-s.m.Globals)
	s.m.Globals += n
	for ; n > 0 && s.err == nil; n-- {
		s.globalType(false)
		s.constExpr()
	}
}

// globalType decodes a global's type.
func (s *scanner) globalType(imported bool) {
	t := s.valType(len(s.m.Types))
	c := s.byte()
	if c > 1 {
		s.failAt(s.pos-1, Malformed, "global mutability %#x", c)
	}
	if s.uses != nil {
		s.uses.globals = append(s.uses.globals, globalUse{valType: t, mutable: c == 1, imported: imported})
	}
}

// start decodes the start section.
func (s *scanner) start() {
	s.m.Start = s.index("function", len(s.funcs))
	s.m.HasStart = true
}

// exports decodes the export section. Its names must differ.
func (s *scanner) exports() {
	n := s.count("exports", 3, MaxExports)
	s.m.Exports = make([]Export, 0, n)
	seen := make(map[string]struct{}) // grows with what is read, not with n
	for ; n > 0 && s.err == nil; n-- {
		start := s.pos
		e := Export{Name: string(s.name("export name", MaxNameSize))}
		if _, ok := seen[e.Name]; ok {
			s.failAt(start, Malformed, "second export named %s", quote(e.Name))
			return
		}
		seen[e.Name] = struct{}{}
		e.Kind = ExternKind(s.byte())
		switch e.Kind {
		case KindFunc:
			e.Index = s.index("function", len(s.funcs))
			if s.err == nil {
				e.Func = &s.m.Types[s.funcs[e.Index]]
			}
		case KindTable:
			e.Index = s.index("table", len(s.m.Tables))
		case KindMemory:
			e.Index = s.index("memory", s.memoryCount())
		case KindGlobal:
			e.Index = s.index("global", s.m.Globals)
		case KindTag:
			e.Index = s.index("tag", s.m.Tags)
		default:
			s.failAt(s.pos-1, Malformed, "unknown export kind %#x", byte(e.Kind))
		}
		s.m.Exports = append(s.m.Exports, e)
	}
}

// memoryCount is 0 or 1.
func (s *scanner) memoryCount() int {
	if s.m.Memory == nil {
		return 0
	}
	return 1
}
