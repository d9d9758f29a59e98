package serialize

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A ModuleErrorKind says what is wrong with a module. Kinds are stable numbers
// from 1.
type ModuleErrorKind uint32

// The kinds of a [ModuleError].
const (
	NotWasm       ModuleErrorKind = 1 // the bytes are no WebAssembly module of version 1
	Truncated     ModuleErrorKind = 2 // the bytes end inside a section
	Limit         ModuleErrorKind = 3 // it exceeds what a host takes or a compiler is given
	MissingExport ModuleErrorKind = 4 // a function or an export of the guest interface is not there
	MissingImport ModuleErrorKind = 5 // it imports what workers do not offer
	Digest        ModuleErrorKind = 6 // it is not the module it was pinned to
	Invalid       ModuleErrorKind = 7 // it breaks the rules of WebAssembly or of the guest interface
	Signature     ModuleErrorKind = 8 // no signature of a trusted key is on it
)

var kindNames = [...]string{
	NotWasm: "not a wasm module", Truncated: "truncated", Limit: "limit exceeded", MissingExport: "missing export",
	MissingImport: "import not offered", Digest: "wrong digest", Invalid: "invalid module",
	Signature: "not trusted",
}

// String returns the kind in words.
func (k ModuleErrorKind) String() string {
	if k > 0 && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "module error " + strconv.FormatUint(uint64(k), 10)
}

// A ModuleError reports a module, or one function of it, that cannot be used.
// Errors with the same non-zero fields match in errors.Is, so
//
//	errors.Is(err, &serialize.ModuleError{Kind: serialize.MissingImport})
//
// asks for the kind alone.
type ModuleError struct {
	Kind   ModuleErrorKind
	Module string // the module's name
	Name   string // the export or import meant, when it is about one
	Reason string
}

// Error returns one line of a few KiB at most; names that the module chose are
// quoted, and cut when they are long.
func (e *ModuleError) Error() string {
	s := fmt.Sprintf("module %s: %s", quote(e.Module), e.Kind)
	if e.Name != "" {
		s += " " + quote(e.Name)
	}
	if e.Reason != "" {
		s += ": " + line(e.Reason)
	}
	return s
}

// Is reports whether target is a ModuleError whose non-zero fields all equal e's.
func (e *ModuleError) Is(target error) bool {
	t, ok := target.(*ModuleError)
	return ok && (t.Kind == 0 || t.Kind == e.Kind) && (t.Module == "" || t.Module == e.Module) &&
		(t.Name == "" || t.Name == e.Name) && (t.Reason == "" || t.Reason == e.Reason)
}

// An Error reports a value that could not be encoded or decoded. It concerns
// one call only.
type Error struct {
	Op    string // "encode" or "decode"
	Codec string // the codec's name
	Type  string // the Go type of the value
	Err   error
}

// Error names the operation, type and codec. It is one line of a few KiB at most,
// whatever the value's author wrote.
func (e *Error) Error() string {
	return fmt.Sprintf("%s %s with %s: %s", e.Op, line(e.Type), e.Codec, line(fmt.Sprint(e.Err)))
}

// Unwrap returns the codec's own error.
func (e *Error) Unwrap() error { return e.Err }

// maxName and maxLine bound what an error's text shows of a name and of a
// reason, in bytes. The fields have them whole.
const (
	maxName = 256
	maxLine = 4 << 10
)

// quote returns s in quotes, cut to maxName.
func quote(s string) string {
	if len(s) > maxName {
		return strconv.Quote(s[:maxName]) + "…"
	}
	return strconv.Quote(s)
}

// line returns s as one printable line, cut to maxLine.
func line(s string) string {
	more := ""
	if len(s) > maxLine {
		s, more = s[:maxLine], "…"
	}
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, s) + more
}
