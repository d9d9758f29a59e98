package wasmbin

import (
	"encoding/binary"
	"fmt"
)

// emptySegment is an active segment of no bytes at address zero, which keeps the
// number of a segment taken out. By the specification it is as good as that one
// even for memory.init, as both count as dropped. The runtime, however, lets
// code copy from active segments, so those must stay: see data.
var emptySegment = []byte{dataActive, byte(opI32Const), 0, byte(opEnd), 0}

// data takes the active segments out of the data section.
func (w *rewriter) data() error {
	at := find(w.parts, secData)
	if at < 0 {
		return nil
	}
	// The module's scanner reads the section again: it knows what the offsets
	// may refer to, and has found no error here before.
	s, from := w.scanner, w.parts[at].body
	s.b, s.pos, s.end, s.section = from, 0, len(from), sections[secData].name
	n := s.count("data segments", 2, MaxDataSegments)
	numbered := s.uses.segments || s.segments >= 0
	w.p.Data = make([]Data, 0, min(n, len(from)/len(emptySegment)))
	var rest vector
	for i := range n {
		start := s.pos
		offset, content := s.dataSegment()
		if s.err != nil {
			return s.err
		}
		if offset == nil { // passive
			rest.add(from[start:s.pos], len(from))
			continue
		}
		d, reason := w.place(offset, content)
		if at, ok := s.uses.copies[uint32(i)]; ok {
			reason = fmt.Sprintf("is active and code copies from it (%v)", at)
		}
		if reason != "" {
			return &UnfitError{Reason: fmt.Sprintf("data segment %d %s", i, reason)}
		}
		w.p.Data = append(w.p.Data, d)
		if numbered {
			rest.add(emptySegment, len(from))
		}
	}
	if most := (spareData + 2*w.size) / hostPage; !dense(w.p.Data, most) {
		return &UnfitError{Reason: fmt.Sprintf("data segments are spread over more than %d KiB of memory", most*hostPage>>10)}
	}
	switch {
	case len(w.p.Data) == 0: // nothing to move
	case rest.n == 0:
		w.remove(secData)
	default:
		w.set(secData, append(binary.AppendUvarint(nil, rest.n), rest.entries...))
	}
	return nil
}

// Data may be spread over pages of as many bytes as these, and twice those of the
// module. The host holds the pages for as long as the module, which could otherwise have
// it hold a page for each byte of its data.
const (
	hostPage  = 4 << 10
	spareData = 1 << 20
)

// dense reports whether the data is on no more than so many pages.
func dense(data []Data, most int) bool {
	pages := make(map[uint32]struct{})
	for _, d := range data {
		if len(d.Bytes) == 0 {
			continue
		}
		for page, last := d.Offset/hostPage, (d.Offset+uint32(len(d.Bytes)-1))/hostPage; page <= last; page++ {
			pages[page] = struct{}{}
		}
		if len(pages) > most {
			return false
		}
	}
	return true
}

// A vector is entries of a section.
type vector struct {
	n       uint64
	entries []byte
}

// add appends an entry. All entries together take at most so many bytes.
func (v *vector) add(entry []byte, most int) {
	if v.entries == nil {
		v.entries = make([]byte, 0, most)
	}
	v.entries = append(v.entries, entry...)
	v.n++
}

// place returns an active segment as Data, or why that cannot be.
func (w *rewriter) place(offset, content []byte) (d Data, reason string) {
	r := reader{b: offset, end: len(offset)}
	plain := opcode(r.byte()) == opI32Const
	if plain {
		d = Data{Offset: uint32(int32(r.signed(32))), Bytes: content}
		plain = opcode(r.byte()) == opEnd
	}
	end := uint64(d.Offset) + uint64(len(content))
	switch {
	case !plain:
		return Data{}, "has an offset that is not a constant"
	case !w.p.Memory:
		return Data{}, "belongs to a memory that the module does not define"
	case end > w.p.MinPages*pageSize:
		return Data{}, fmt.Sprintf("ends at byte %d of an initial memory of %d pages", end, w.p.MinPages)
	default:
		return d, ""
	}
}
