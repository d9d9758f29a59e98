// Package typetext puts Go types into words, as the values of a type travel: by
// the names and order that the codec gives them. Host and guest take the words of
// a host function's types from here, so that both can be compared.
package typetext

import (
	"encoding"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxLen bounds a type's text, in bytes, the mark of one that was cut included.
const MaxLen = 512

// cut ends a text that was too long.
const cut = "…"

// Of returns the text of t, at most MaxLen bytes of valid UTF-8.
//
// Raw bytes are "bytes", and so are byte slices and arrays inside other types;
// one that is the whole value and not of the type []byte is "cbor bytes", because
// it is encoded. A pointer has a question mark behind, a struct its fields in braces
// by their encoded names, or in parentheses when it travels as an array. Interfaces,
// types that encode themselves, and a type inside itself are shown by name.
func Of(t reflect.Type) string {
	if t == reflect.TypeFor[[]byte]() {
		return "bytes"
	}
	if t != nil && isBytes(t) && !encodesItself(t) {
		return "cbor bytes"
	}
	w := &writer{}
	w.write(t)
	if len(w.b) <= MaxLen {
		return string(w.b)
	}
	at := MaxLen - len(cut)
	for !utf8.RuneStart(w.b[at]) {
		at--
	}
	return string(w.b[:at]) + cut
}

// A writer puts one type into words.
type writer struct {
	b     []byte
	stack []reflect.Type // structs that are being written
}

func (w *writer) add(s string) { w.b = append(w.b, s...) }

// full reports whether what follows would be cut anyway.
func (w *writer) full() bool { return len(w.b) > MaxLen }

func (w *writer) write(t reflect.Type) {
	switch {
	case w.full():
	case t == nil:
		w.add("any")
	case known[t] != "":
		w.add(known[t])
	case t.Kind() == reflect.Pointer:
		w.pointer(t)
	case encodesItself(t):
		w.add(t.String())
	case isBytes(t):
		w.add("bytes")
	default:
		w.kind(t)
	}
}

func (w *writer) kind(t reflect.Type) {
	switch t.Kind() {
	case reflect.Slice:
		w.named(t, func() {
			w.add("[]")
			w.write(t.Elem())
		})
	case reflect.Array:
		w.named(t, func() {
			w.add("[" + strconv.Itoa(t.Len()) + "]")
			w.write(t.Elem())
		})
	case reflect.Map:
		w.named(t, func() {
			w.add("map[")
			w.write(t.Key())
			w.add("]")
			w.write(t.Elem())
		})
	case reflect.Struct:
		w.named(t, func() { w.fields(t) })
	case reflect.Interface:
		if t.NumMethod() == 0 {
			w.add("any")
			return
		}
		w.add(t.String())
	case reflect.Chan, reflect.Func, reflect.UnsafePointer:
		w.add(t.String())
	default:
		w.add(t.Kind().String())
	}
}

// named writes t by what it is made of, or by its name inside itself.
func (w *writer) named(t reflect.Type, write func()) {
	if slices.Contains(w.stack, t) {
		w.add(t.String())
		return
	}
	w.stack = append(w.stack, t)
	write()
	w.stack = w.stack[:len(w.stack)-1]
}

func (w *writer) pointer(t reflect.Type) {
	w.named(t, func() {
		w.write(t.Elem())
		w.add("?")
	})
}

func (w *writer) fields(t reflect.Type) {
	array := false
	for f := range t.Fields() {
		array = array || f.Name == "_" && strings.Contains(","+options(f)+",", ",toarray,")
	}
	open, end := "{", "}"
	if array {
		open, end = "(", ")"
	}
	w.add(open)
	w.members(t, array, "")
	w.add(end)
}

// members writes a struct's fields, those of embedded structs in their place. It
// returns what goes in front of the next one.
func (w *writer) members(t reflect.Type, array bool, before string) string {
	for f := range t.Fields() {
		name := nameOf(f)
		if w.full() || name == "" {
			continue
		}
		if embedded, ok := flattened(f); ok {
			w.named(embedded, func() { before = w.members(embedded, array, before) })
			continue
		}
		if !f.IsExported() {
			continue
		}
		w.add(before)
		before = ", "
		if !array {
			w.add(name + ": ")
		}
		w.write(f.Type)
	}
	return before
}

// flattened returns the struct whose fields are taken for those of the outer one.
func flattened(f reflect.StructField) (reflect.Type, bool) {
	if !f.Anonymous || tagName(f) != "" {
		return nil, false
	}
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t, t.Kind() == reflect.Struct && known[t] == "" && !encodesItself(t)
}

// nameOf is the field's encoded name, empty for one that is left out.
func nameOf(f reflect.StructField) string {
	tag := tagOf(f)
	if f.Name == "_" || tag == "-" {
		return ""
	}
	if name := tagName(f); name != "" {
		return name
	}
	return f.Name
}

func tagName(f reflect.StructField) string {
	name, _, _ := strings.Cut(tagOf(f), ",")
	return strings.ToValidUTF8(name, "\uFFFD")
}

func options(f reflect.StructField) string {
	_, options, _ := strings.Cut(tagOf(f), ",")
	return options
}

func tagOf(f reflect.StructField) string {
	if tag, ok := f.Tag.Lookup("cbor"); ok {
		return tag
	}
	return f.Tag.Get("json")
}

// known are types that the codec has a form of its own for.
var known = map[reflect.Type]string{
	reflect.TypeFor[time.Time](): "time",
	reflect.TypeFor[big.Int]():   "bigint",
}

// encodesItself reports whether the codec asks t for its encoding.
func encodesItself(t reflect.Type) bool {
	if t.Kind() == reflect.Interface {
		return false
	}
	for _, i := range []reflect.Type{
		reflect.TypeFor[interface{ MarshalCBOR() ([]byte, error) }](),
		reflect.TypeFor[encoding.BinaryMarshaler](),
		reflect.TypeFor[encoding.TextMarshaler](),
	} {
		if t.Implements(i) || reflect.PointerTo(t).Implements(i) {
			return true
		}
	}
	return false
}

func isBytes(t reflect.Type) bool {
	return (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) && t.Elem().Kind() == reflect.Uint8
}
