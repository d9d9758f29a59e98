package wasmbin

import "bytes"

// Section numbers of the format.
const (
	secCustom byte = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	secTag
)

// sections describes each section number: its name in errors, its place in the
// file (later proposals put sections between older ones, so numbers are no
// order), and its decoder, which must consume the section exactly.
var sections = [...]struct {
	name   string
	place  int
	decode func(*scanner)
}{
	secCustom:    {"custom", 0, (*scanner).custom},
	secType:      {"type", 1, (*scanner).types},
	secImport:    {"import", 2, (*scanner).imports},
	secFunction:  {"function", 3, (*scanner).functions},
	secTable:     {"table", 4, (*scanner).tables},
	secMemory:    {"memory", 5, (*scanner).memories},
	secTag:       {"tag", 6, (*scanner).tags},
	secGlobal:    {"global", 7, (*scanner).globals},
	secExport:    {"export", 8, (*scanner).exports},
	secStart:     {"start", 9, (*scanner).start},
	secElement:   {"element", 10, (*scanner).elements},
	secDataCount: {"data count", 11, (*scanner).dataCount},
	secCode:      {"code", 12, (*scanner).code},
	secData:      {"data", 13, (*scanner).data},
}

// A scanner is one Scan: the reader and what the sections share.
type scanner struct {
	codeScanner
	m *Module

	funcs         []uint32 // type index of each function, imported ones first
	tableElements uint64   // sum of the tables' minimum sizes
	locals        int64    // sum of the locals of the functions so far
	bodies        int      // functions in the code section
	segments      int64    // announced by the data count section, or -1
	named         bool     // a name section was seen
	blocks        []byte   // reused from body to body, see body
	uses          *uses    // what Prepare wants to know besides; nil in Scan
}

// newScanner returns a scanner at the start of b.
func newScanner(b []byte) *scanner {
	s := &scanner{m: &Module{}, segments: -1}
	s.b, s.end = b, len(b)
	return s
}

// Scan reads a module once. It never panics and every error is an [*Error].
// Time grows with len(b): 10 ms for the 2.6 MB that Go makes of a small program
// (BenchmarkScan, linux/amd64). So does memory: 14 KB for that program, and for
// a module of nothing but empty types, the worst there is, some twenty times
// len(b). Nothing of b is kept.
func Scan(b []byte) (*Module, error) {
	s := newScanner(b)
	s.module()
	if s.err != nil {
		return nil, s.err // not in one line: a nil *Error is not a nil error
	}
	return s.m, nil
}

// module reads the whole file.
func (s *scanner) module() {
	s.header()
	place := 0
	for s.err == nil && s.pos < len(s.b) {
		place = s.nextSection(place)
	}
	s.finish()
}

// header checks the first eight bytes.
func (s *scanner) header() {
	const magic, version, component = "\x00asm", "\x01\x00\x00\x00", "\x0d\x00\x01\x00"
	switch b := s.b; {
	case len(b) > MaxModuleSize:
		s.fail(Limit, "%d bytes, the limit is %d", len(b), MaxModuleSize)
	case len(b) == 0:
		s.fail(NotWasm, "it is empty")
	case len(b) < len(magic) && bytes.HasPrefix([]byte(magic), b):
		s.fail(Truncated, "the file ends inside the header")
	case s.hasPrefix("(module") || s.hasPrefix("(component"):
		s.fail(NotWasm, "it is WebAssembly text, which must be assembled first")
	case !s.hasPrefix(magic):
		s.fail(NotWasm, "it does not start with the four bytes of WebAssembly")
	case len(b) < len(magic)+len(version):
		s.fail(Truncated, "the file ends inside the header")
	case s.hasPrefix(magic + component):
		s.fail(NotWasm, "it is a component; only core modules are understood")
	case !s.hasPrefix(magic + version):
		s.failAt(len(magic), NotWasm, "version %#x of the format; only 1 is understood", b[4:8])
	default:
		s.pos = len(magic) + len(version)
	}
}

// nextSection reads one section, which must come after the place of the one
// before, and returns its place.
func (s *scanner) nextSection(before int) int {
	start := s.pos
	id, ok := s.frame()
	if !ok {
		return before
	}
	sec := &sections[id]
	switch {
	case id == secCustom: // may be anywhere, any number of times
	case sec.place == before:
		s.failAt(start, Malformed, "second %s section", sec.name)
	case sec.place < before:
		s.failAt(start, Malformed, "%s section too late in the file", sec.name)
	default:
		before = sec.place
	}
	if s.err != nil {
		return before
	}
	s.section = sec.name
	if sec.decode(s); s.pos != s.end {
		s.fail(Malformed, "%d bytes left over", s.left())
	}
	return before
}

// frame reads a section's number and size and narrows the reader to what is in
// it. It returns false after an error.
func (r *reader) frame() (id byte, ok bool) {
	r.section, r.end = "", len(r.b)
	start := r.pos
	id = r.byte()
	if int(id) >= len(sections) {
		r.failAt(start, Malformed, "unknown section number %d", id)
		return 0, false
	}
	size := int64(r.u32())
	if r.err != nil {
		return 0, false
	}
	if size > int64(r.left()) {
		r.section = sections[id].name
		r.failAt(start, Truncated, "section of %d bytes announced with %d bytes left", size, r.left())
		return 0, false
	}
	r.end = r.pos + int(size)
	return id, true
}

// finish checks what only shows at the end of the file.
func (s *scanner) finish() {
	s.section = ""
	if s.bodies != s.m.Functions {
		s.fail(Malformed, "%d functions declared and %d defined", s.m.Functions, s.bodies)
	}
	if s.segments >= 0 && s.segments != int64(s.m.DataSegments) {
		s.fail(Malformed, "%d data segments announced and %d defined", s.segments, s.m.DataSegments)
	}
	s.m.Features = s.features.names()
}
