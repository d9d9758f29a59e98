package serialize

import (
	"encoding"
	"encoding/json"
	"iter"
	"reflect"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// methods are those by which a type encodes or decodes itself.
var methods = [...]reflect.Type{
	reflect.TypeFor[cbor.Marshaler](), reflect.TypeFor[cbor.Unmarshaler](),
	reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler](),
	reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.BinaryUnmarshaler](),
	reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
	reflect.TypeFor[interface{ MarshalMsgpack() ([]byte, error) }](),
	reflect.TypeFor[interface{ UnmarshalMsgpack([]byte) error }](),
	reflect.TypeFor[interface{ ProtoMessage() }](),
}

// ownMethods reports whether t, or its pointer, encodes or decodes itself by
// methods of its own.
func ownMethods(t reflect.Type) bool {
	if t.Name() == "" && t.Kind() != reflect.Struct {
		return false // only structs have methods without having a name
	}
	p := reflect.PointerTo(t)
	for _, m := range methods {
		if t.Implements(m) || p.Implements(m) {
			return true
		}
	}
	if _, ok := p.MethodByName("EncodeMsgpack"); ok {
		return true
	}
	_, ok := p.MethodByName("DecodeMsgpack")
	return ok
}

// isLeaf reports whether nothing of t is to be looked into: it has no parts, or
// handles them itself.
func isLeaf(t reflect.Type) bool { return leafBy(t, ownMethods) }

// isCBORLeaf is isLeaf for the encoder of CBOR, which goes through types that have
// other methods than its own.
func isCBORLeaf(t reflect.Type) bool { return leafBy(t, encodesCBOR) }

func encodesCBOR(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[cbor.Marshaler]()) || p.Implements(reflect.TypeFor[encoding.BinaryMarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

func leafBy(t reflect.Type, handlesItself func(reflect.Type) bool) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface:
		return false // a pointer's methods are its element's
	case reflect.Slice, reflect.Array:
		return t.Elem().Kind() == reflect.Uint8 && t.Elem().PkgPath() == "" || handlesItself(t)
	case reflect.Map, reflect.Struct:
		return handlesItself(t)
	default:
		return true
	}
}

// embedded returns the struct type whose fields codecs promote for f.
func embedded(f reflect.StructField) (t reflect.Type, ok bool) {
	if !f.Anonymous {
		return nil, false
	}
	t = f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t, t.Kind() == reflect.Struct
}

// namedByTag reports whether f has a name of its own in a struct tag, so that an
// embedded struct is a field like others.
func namedByTag(f reflect.StructField) bool {
	for _, key := range [...]string{"cbor", "json", "msgpack"} {
		if name, _, _ := strings.Cut(f.Tag.Get(key), ","); name != "" && name != "-" {
			return true
		}
	}
	return false
}

// visibleFields yields the fields of t that a codec may look at, in order: the
// exported ones, and embedded structs whatever their name.
func visibleFields(t reflect.Type) iter.Seq[reflect.StructField] {
	return func(yield func(reflect.StructField) bool) {
		for f := range t.Fields() {
			if _, embeds := embedded(f); (f.IsExported() || embeds) && !yield(f) {
				return
			}
		}
	}
}

// parts yields the types that a t consists of, for the direction of p: the R of
// a reducer, elements, keys, fields.
func (p *planner) parts(t reflect.Type) iter.Seq[reflect.Type] {
	return func(yield func(reflect.Type) bool) {
		if d := p.reducer(t); d != nil {
			yield(d.repr)
			return
		}
		if p.leaf(t) {
			return
		}
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array:
			yield(t.Elem())
		case reflect.Map:
			_ = yield(t.Key()) && yield(t.Elem())
		case reflect.Struct:
			p.structParts(t, map[reflect.Type]bool{}, yield)
		default:
		}
	}
}

// structParts yields the types of t's fields, with those of embedded structs in
// their place: codecs promote them even from a struct that is a leaf.
func (p *planner) structParts(t reflect.Type, seen map[reflect.Type]bool, yield func(reflect.Type) bool) bool {
	if seen[t] {
		return true
	}
	seen[t] = true
	for f := range visibleFields(t) {
		if e, ok := embedded(f); ok && !p.asField(f, e) {
			if !p.structParts(e, seen, yield) {
				return false
			}
			continue
		}
		if !yield(f.Type) {
			return false
		}
	}
	return true
}

// asField reports whether f, which embeds a struct e, is treated as a field: it
// has a reducer, or handles itself under a name of its own.
func (p *planner) asField(f reflect.StructField, e reflect.Type) bool {
	return p.reducer(f.Type) != nil || p.reducer(e) != nil || ownMethods(e) && namedByTag(f)
}

// reaches reports whether ok holds for from or any type that it consists of.
func (p *planner) reaches(from reflect.Type, ok func(reflect.Type) bool) bool {
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type) bool
	visit = func(t reflect.Type) bool {
		if ok(t) {
			return true
		}
		if seen[t] {
			return false
		}
		seen[t] = true
		for part := range p.parts(t) {
			if visit(part) {
				return true
			}
		}
		return false
	}
	return visit(from)
}

// recursive reports whether part, of which container consists, consists of
// container again.
func (p *planner) recursive(container, part reflect.Type) bool {
	return p.reaches(part, func(t reflect.Type) bool { return t == container })
}

// needs reports whether a t has anything with a reducer in it, by its type alone.
func (p *planner) needs(t reflect.Type) bool {
	return len(p.r.byType) > 0 && p.reaches(t, func(t reflect.Type) bool { return p.reducer(t) != nil })
}

// holdsInterface reports whether a t may hold values of any type.
func (p *planner) holdsInterface(t reflect.Type) bool {
	return p.reaches(t, func(t reflect.Type) bool { return t.Kind() == reflect.Interface })
}
