package wasmbin

import (
	"encoding/binary"
	"slices"
)

// preambleSize is the size of the header: the magic number and the version.
const preambleSize = 8

// A section is one section of a file, which is header and then body. Both alias
// the file until something replaces the section.
type section struct {
	id     byte
	header []byte // number and size, in whatever form the file had them
	body   []byte
}

// newSection returns a section made here.
func newSection(id byte, body []byte) section {
	return section{id: id, header: binary.AppendUvarint([]byte{id}, uint64(len(body))), body: body}
}

// split cuts a file into sections, without looking into them: join of the
// result is the same file, byte for byte. It takes memory for each section, so
// only what Scan accepts, which bounds their number, may come here.
func split(b []byte) ([]section, *Error) {
	s := newScanner(b)
	s.header()
	var parts []section
	for s.err == nil && s.pos < len(b) {
		start := s.pos
		if id, ok := s.frame(); ok {
			parts = append(parts, section{id: id, header: b[start:s.pos], body: b[s.pos:s.end]})
			s.pos = s.end
		}
	}
	return parts, s.err
}

// join puts sections behind the header of a module.
func join(preamble []byte, parts []section) []byte {
	b := make([]byte, 0, joinedSize(parts))
	b = append(b, preamble...)
	for _, p := range parts {
		b = append(append(b, p.header...), p.body...)
	}
	return b
}

// joinedSize is the size of the file that join makes.
func joinedSize(parts []section) int {
	size := preambleSize
	for _, p := range parts {
		size += len(p.header) + len(p.body)
	}
	return size
}

// find returns the place of a section in parts, or -1. Custom sections have no
// number to find them by.
func find(parts []section, id byte) int {
	return slices.IndexFunc(parts, func(p section) bool { return p.id == id })
}

// replace returns parts with the section in place of the one of that number, or
// where the format wants it if there is none.
func replace(parts []section, s section) []section {
	if i := find(parts, s.id); i >= 0 {
		parts[i] = s
		return parts
	}
	at := 0 // behind the last section that must be before it
	for i, p := range parts {
		if p.id != secCustom && sections[p.id].place < sections[s.id].place {
			at = i + 1
		}
	}
	return slices.Insert(parts, at, s)
}

// remove returns parts without the section of that number.
func remove(parts []section, id byte) []section {
	return slices.DeleteFunc(parts, func(p section) bool { return p.id == id })
}
