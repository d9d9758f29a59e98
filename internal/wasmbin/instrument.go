package wasmbin

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// A Mode is what [Instrument] adds to the code of a module.
type Mode int

// The modes. Each makes another binary of a module, to be compiled by itself.
const (
	// Plain adds nothing to code.
	Plain Mode = iota
	// Flag lets a running call be ended: see StopName and DepthName.
	Flag
	// Fuel does too, and counts what is executed: see FuelName.
	Fuel
)

// String returns the mode's name.
func (m Mode) String() string {
	switch m {
	case Plain:
		return "plain"
	case Flag:
		return "flag"
	case Fuel:
		return "fuel"
	default:
		return fmt.Sprintf("mode %d", int(m))
	}
}

// Names under which [Instrument] exports the globals that it adds.
const (
	// StopName is an i32. It is 0, and code traps (unreachable) soon after the host
	// has set it to [Stopped], also while it runs.
	StopName = namePrefix + "stop"
	// DepthName is an i32: how many more functions that call others may be on the
	// stack. The host sets it before each entry. Code traps (unreachable) instead of
	// entering one more, having set it to [Stopped].
	DepthName = namePrefix + "depth"
	// FuelName is an i64: what may still be executed. The host sets it. Code traps
	// (unreachable) soon after it has become negative.
	FuelName = namePrefix + "fuel"
)

// Stopped is -1 as the host sets an i32.
const Stopped = math.MaxUint32

// firstDepth is what the depth is before the host has set it, in a start function that
// could not become an export.
const firstDepth = 10_000

// maxGrown is how many elements the tables of a module may have together, or what they
// have from the start: the runtime keeps eight bytes for each, outside of the memory
// that it bounds.
const maxGrown = 1_000_000

// meterGlobals are the globals that a mode adds, in the order of their numbers.
var meterGlobals = map[Mode][]string{
	Flag: {StopName, DepthName},
	Fuel: {StopName, DepthName, FuelName},
}

// Instrument rewrites the code of a module, as it is or as [Prepare] has made it, so
// that the worker can end a call and count what it executes. Each result and each trap of
// the module stays as it was; what is added has globals of its own, behind all others,
// and locals behind those of each function. In every mode tables that code grows get a
// maximum: all together a million elements, or what they have from the start.
//
// Under Flag and Fuel loops look at the flag each time round, and functions that call others
// when they are entered, where they also count how deep they are. Any other code ends by
// itself. Under Fuel each instruction but end and else takes one unit when the straight
// run of code that it belongs to begins; memory.grow takes 64, bulk operations one more for
// each 16 bytes or each element. It is the same on each run and machine. Where the flag is
// looked at, fuel is too, and ahead of bulk operations.
//
// A start function becomes an export as Prepare makes it one, so that it can be ended
// as well; one that cannot is left.
//
// The error is an [*Error] if [Scan] refuses the module, and an [*UnfitError] if there is
// no room for what is added, or the module is invalid in a way that it would hide. Under
// Plain it is b itself that comes back, unless code grows tables.
func Instrument(b []byte, mode Mode) ([]byte, error) {
	s := newScanner(b)
	s.uses = &uses{}
	if s.module(); s.err != nil {
		return nil, s.err
	}
	if mode == Plain && s.uses.table.op == 0 {
		return b, nil
	}
	if reason := s.unmeterable(mode); reason != "" {
		return nil, &UnfitError{Reason: reason}
	}
	parts, err := split(b)
	if err != nil {
		return nil, err
	}
	w := &rewriter{scanner: s, parts: parts, size: len(b), p: &Prepared{}}
	m := newMeter(s, mode)
	if at := find(parts, secCode); at >= 0 {
		body, err := m.code(parts[at].body)
		if err != nil {
			return nil, err
		}
		if mode != Plain {
			w.set(secCode, body)
		}
	}
	if m.grows {
		if err := w.boundTables(); err != nil {
			return nil, err
		}
	}
	w.meterExports(mode)
	if !w.changed {
		return b, nil
	}
	if size := joinedSize(w.parts); size > MaxModuleSize {
		return nil, &UnfitError{Reason: fmt.Sprintf("the instrumented module has %d bytes, the limit is %d", size, MaxModuleSize)}
	}
	return join(b[:preambleSize], w.parts), nil
}

// unmeterable returns why what is added would not fit, or would make an invalid module
// valid.
func (s *scanner) unmeterable(mode Mode) string {
	if mode == Plain {
		return ""
	}
	for _, e := range s.m.Exports {
		if slices.Contains(meterGlobals[Fuel], e.Name) {
			return "the module exports the reserved name " + quote(e.Name)
		}
		if e.Name == StartName && s.m.HasStart {
			return "the module exports the reserved name " + quote(e.Name)
		}
	}
	added := len(meterGlobals[Fuel])
	switch {
	case s.uses.stray:
		return "a constant expression names a global that does not exist"
	case s.m.Globals > MaxGlobals-added:
		return fmt.Sprintf("the module has %d globals, the limit is %d", s.m.Globals, MaxGlobals-added)
	case len(s.m.Exports) > MaxExports-added-1:
		return fmt.Sprintf("the module has %d exports, the limit is %d", len(s.m.Exports), MaxExports-added-1)
	default:
		return ""
	}
}

// meterExports adds the globals of a mode and exports them, and the start function.
func (w *rewriter) meterExports(mode Mode) {
	if mode == Plain {
		return
	}
	var globals, exports vector
	const room = 256
	export := func(name string, kind ExternKind, index uint64) {
		e := append(binary.AppendUvarint(nil, uint64(len(name))), name...)
		exports.add(binary.AppendUvarint(append(e, byte(kind)), index), room)
	}
	for i, name := range meterGlobals[mode] {
		g := []byte{byte(I32), 1, byte(opI32Const)}
		switch name {
		case DepthName:
			g = appendLEB(g, firstDepth)
		case FuelName:
			g = appendLEB([]byte{byte(I64), 1, byte(opI64Const)}, math.MaxInt64)
		default:
			g = append(g, 0)
		}
		globals.add(append(g, byte(opEnd)), room)
		export(name, KindGlobal, uint64(w.scanner.m.Globals+i))
	}
	if w.scanner.m.HasStart && w.scanner.unfitStart() == "" {
		export(StartName, KindFunc, uint64(w.scanner.m.Start))
		w.remove(secStart)
	}
	w.extend(secGlobal, globals)
	w.extend(secExport, exports)
}

// extend appends entries to a section, which there need not be.
func (w *rewriter) extend(id byte, added vector) {
	n := added.n
	var entries []byte // those the module has
	if i := find(w.parts, id); i >= 0 {
		r := reader{b: w.parts[i].body, end: len(w.parts[i].body)}
		n += uint64(r.u32())
		entries = r.b[r.pos:]
	}
	body := binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen32+len(entries)+len(added.entries)), n)
	w.set(id, append(append(body, entries...), added.entries...))
}

// boundTables gives the module's own tables a maximum.
func (w *rewriter) boundTables() error {
	at := find(w.parts, secTable)
	if at < 0 {
		return nil
	}
	s, from := w.scanner, w.parts[at].body
	s.b, s.pos, s.end, s.section = from, 0, len(from), sections[secTable].name
	n := s.count("tables", 3, MaxTables)
	out := binary.AppendUvarint(make([]byte, 0, len(from)+8*n), uint64(n))
	share := uint64(maxGrown / max(n, 1))
	for range n {
		start := s.pos
		initialized := s.hasPrefix("\x40")
		if initialized {
			s.pos += 2
		}
		s.refType(len(s.m.Types))
		out = append(out, from[start:s.pos]...)
		flags, least, most := s.limits()
		if flags&limitMax == 0 || most > share {
			most = max(least, share)
		}
		out = append(out, flags|limitMax)
		out = binary.AppendUvarint(binary.AppendUvarint(out, least), most)
		start = s.pos
		if initialized {
			s.constExpr()
		}
		out = append(out, from[start:s.pos]...)
		if s.err != nil {
			return s.err // the module's scanner has found none here before
		}
	}
	w.set(secTable, out)
	return nil
}

// appendLEB appends a signed number in its shortest form.
func appendLEB(b []byte, v int64) []byte {
	for v < -64 || v > 63 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v)&0x7f)
}
