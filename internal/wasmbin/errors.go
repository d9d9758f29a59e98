package wasmbin

import "fmt"

// A Kind says in which way bytes were refused.
type Kind int

// The kinds of refusal. Zero is none of them.
const (
	// NotWasm means the bytes are not a core module of version 1: something
	// else altogether, a component, or another version of the format.
	NotWasm Kind = iota + 1
	// Truncated means the file ends before something it announced.
	Truncated
	// Malformed means the bytes break the format, or use a part of it that
	// neither this package nor the workers' runtime knows.
	Malformed
	// Limit means the module exceeds one of the limits of this package. It
	// may be valid WebAssembly.
	Limit
)

// String returns the kind in words.
func (k Kind) String() string {
	switch k {
	case NotWasm:
		return "not a WebAssembly module"
	case Truncated:
		return "truncated module"
	case Malformed:
		return "malformed module"
	case Limit:
		return "module over a limit"
	default:
		return fmt.Sprintf("kind %d", int(k))
	}
}

// An Error is why [Scan] refused a module.
type Error struct {
	// Kind is the way in which the module was refused.
	Kind Kind
	// Section is the section in which it happened, such as "code", or "" for
	// the header and the frame around the sections.
	Section string
	// Offset is where it happened, in bytes from the start of the file.
	Offset int
	// Reason says what was found. It never contains bytes of the module but
	// as numbers or quoted.
	Reason string
}

// Error returns the kind, the place and the reason.
func (e *Error) Error() string {
	if e.Section == "" {
		return fmt.Sprintf("%v: at offset %#x: %s", e.Kind, e.Offset, e.Reason)
	}
	return fmt.Sprintf("%v: %s section, offset %#x: %s", e.Kind, e.Section, e.Offset, e.Reason)
}
