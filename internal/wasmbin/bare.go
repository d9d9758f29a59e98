package wasmbin

import (
	"crypto/sha256"
	"encoding/binary"
)

// BareName is the name of the custom section in which [Bare] notes what it was made of.
const BareName = "sandpool.bare"

// bareBody is the body of a function without locals whose code is unreachable, which is valid for
// every type, and its size.
var bareBody = []byte{3, 0, byte(opUnreachable), byte(opEnd)}

// Bare returns a module that [Scan] accepts without the code of its functions: for a runtime that has
// that compiled, and would only decode and validate it once more. Each function traps instead. Everything else is
// as it was, but for custom sections, of which names alone are left, and one that holds the
// module's SHA-256: modules that differ in their code alone do not become the same.
func Bare(b []byte) ([]byte, error) {
	parts, err := split(b)
	if err != nil {
		return nil, err
	}
	bare := make([]section, 0, len(parts)+1)
	for _, p := range parts {
		switch {
		case p.id == secCode:
			bare = append(bare, newSection(secCode, bareCode(p.body)))
		case p.id != secCustom || customName(p.body) == "name":
			bare = append(bare, p)
		}
	}
	sum := sha256.Sum256(b)
	bare = append(bare, newSection(secCustom, append(append(binary.AppendUvarint(nil, uint64(len(BareName))), BareName...), sum[:]...)))
	return join(b[:preambleSize], bare), nil
}

// bareCode is a code section with as many functions.
func bareCode(body []byte) []byte {
	r := reader{b: body, end: len(body)}
	n := r.u32()
	out := binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen32+len(bareBody)*int(n)), uint64(n))
	for range n {
		out = append(out, bareBody...)
	}
	return out
}

// customName is the name of a custom section.
func customName(body []byte) string {
	r := reader{b: body, end: len(body)}
	n := int(r.u32())
	if r.err != nil || n > len(body)-r.pos {
		return ""
	}
	return string(body[r.pos : r.pos+n])
}
