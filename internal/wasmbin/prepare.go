package wasmbin

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// Names of the exports that Prepare adds. No toolchain emits a name that starts
// with a zero byte, and Prepare refuses a module that does with this one.
const (
	namePrefix = "\x00sandpool."
	// StartName is the name under which [Prepare] exports the start function.
	StartName = namePrefix + "start"
)

// GlobalName returns the name under which [Prepare] exports the global that is
// number i of those to restore.
func GlobalName(i int) string { return namePrefix + "global." + strconv.Itoa(i) }

// pageSize is the size of a page of memory.
const pageSize = 1 << 16

// A Prepared module is a module rewritten so that a worker can bring its
// instances back to a state they had.
type Prepared struct {
	// Bytes is the rewritten module. It is the input itself, not a copy, if
	// nothing had to change.
	Bytes []byte
	// Data are the active data segments, which the rewritten module no longer
	// has, in order. All lie inside the initial memory. Later ones may
	// overwrite earlier ones.
	Data []Data
	// Globals counts the mutable globals that code sets. They are exported as
	// GlobalName(0) to GlobalName(Globals-1), all of them numbers.
	Globals int
	// Start reports that the module had a start function. Instantiation no
	// longer runs it: it is exported as [StartName].
	Start bool
	// Memory reports whether the module defines a memory, MinPages its initial
	// size and MaxPages its declared maximum, or [MaxMemoryPages]. If there is
	// room, the rewritten module declares one page more than MaxPages, so that
	// growing by one page always reaches the worker's allocator: it is the
	// allocator that must hold the guest to MaxPages.
	Memory   bool
	MinPages uint64
	MaxPages uint64
}

// Data is a piece of the initial memory.
type Data struct {
	Offset uint32
	Bytes  []byte // aliases the module given to Prepare
}

// Prepare rewrites a module. A worker that holds the memory and the globals of
// an instance of the result at one time holds all that calls can change, and
// restores the instance by writing both back. An instance of the original is
// one of the result after these steps: apply Data, call the start function.
//
// The error is an [*Error] if [Scan] refuses the module, and an [*UnfitError] if
// its instances have state that no worker can reach. Bytes that need not change
// stay as they are, custom sections and code among them; whatever is invalid
// in them is left for the compiler to refuse. Time and memory grow with len(b):
// 17 ms for the 2.6 MB that Go makes of a small program, and its size again
// (BenchmarkPrepare, linux/amd64).
func Prepare(b []byte) (*Prepared, error) {
	s := newScanner(b)
	s.uses = &uses{}
	if s.module(); s.err != nil {
		return nil, s.err
	}
	if err := s.unfit(); err != nil {
		return nil, err
	}
	parts, err := split(b)
	if err != nil {
		return nil, err
	}
	w := &rewriter{scanner: s, parts: parts, size: len(b), p: &Prepared{Start: s.m.HasStart, Globals: s.restored()}}
	w.memory()
	if err := w.data(); err != nil {
		return nil, err
	}
	w.exports()
	w.p.Bytes = b
	if w.changed {
		if size := joinedSize(w.parts); size > MaxModuleSize {
			return nil, &UnfitError{Reason: fmt.Sprintf("the rewritten module has %d bytes, the limit is %d", size, MaxModuleSize)}
		}
		w.p.Bytes = join(b[:preambleSize], w.parts)
	}
	return w.p, nil
}

// A rewriter changes the sections of a module that was scanned without error.
type rewriter struct {
	scanner *scanner
	parts   []section
	size    int // of the module
	changed bool
	p       *Prepared
}

// set replaces a section, or adds it.
func (w *rewriter) set(id byte, body []byte) {
	w.parts, w.changed = replace(w.parts, newSection(id, body)), true
}

// remove takes a section out.
func (w *rewriter) remove(id byte) {
	w.parts, w.changed = remove(w.parts, id), true
}

// memory raises the declared maximum by one page.
func (w *rewriter) memory() {
	m := w.scanner.m.Memory
	if m == nil {
		return
	}
	w.p.Memory, w.p.MinPages, w.p.MaxPages = true, m.Min, MaxMemoryPages
	if !m.HasMax {
		return
	}
	w.p.MaxPages = m.Max
	if m.Max == MaxMemoryPages {
		return
	}
	body := []byte{1, limitMax}
	body = binary.AppendUvarint(body, m.Min)
	w.set(secMemory, binary.AppendUvarint(body, m.Max+1))
}

// exports adds the globals and the start function to the exports.
func (w *rewriter) exports() {
	var added []byte
	n := uint64(0)
	add := func(name string, kind ExternKind, index uint64) {
		added = binary.AppendUvarint(added, uint64(len(name)))
		added = append(append(added, name...), byte(kind))
		added = binary.AppendUvarint(added, index)
		n++
	}
	for i, g := range w.scanner.uses.globals {
		if g.mutable && g.set {
			add(GlobalName(int(n)), KindGlobal, uint64(i))
		}
	}
	if w.p.Start {
		add(StartName, KindFunc, uint64(w.scanner.m.Start))
		w.remove(secStart)
	}
	if n == 0 {
		return
	}
	var entries []byte // those the module has
	if i := find(w.parts, secExport); i >= 0 {
		r := reader{b: w.parts[i].body, end: len(w.parts[i].body)}
		n += uint64(r.u32())
		entries = r.b[r.pos:]
	}
	body := binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen32+len(entries)+len(added)), n)
	w.set(secExport, append(append(body, entries...), added...))
}
