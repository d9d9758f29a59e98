package serialize

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A fieldConv is one field of a struct: twin's index is given by its order.
type fieldConv struct {
	orig, twin int
	node       *node
	omit       func(reflect.Value) bool // not nil: the twin's any stays nil for such values
}

// makeStruct returns the node of a struct type: exported fields keep name, tag
// and order. within are the structs that t is embedded in; codecs see no
// fields of a struct embedded in itself.
func (p *planner) makeStruct(t reflect.Type, within []reflect.Type) *node {
	within = append(slices.Clip(within), t)
	n := &node{typ: t}
	var fields []reflect.StructField
	var convs []fieldConv
	for i := range t.NumField() {
		f := t.Field(i)
		e, embeds := embedded(f)
		switch {
		case embeds && !p.asField(f, e):
			if slices.Contains(within, e) {
				continue
			}
			fn := p.embeddedNode(f, e, within)
			convs = append(convs, fieldConv{orig: i, twin: len(fields), node: fn})
			fields = append(fields, reflect.StructField{Name: exportedName(f.Name, t, fields), Type: fn.twin, Tag: f.Tag, Anonymous: true})
		case f.IsExported():
			c := p.field(f)
			c.orig, c.twin = i, len(fields)
			convs = append(convs, c)
			fields = append(fields, reflect.StructField{Name: f.Name, Type: c.node.twin, Tag: f.Tag})
		case embeds:
			panic(fmt.Errorf("%s embeds %s, which has a reducer, without exporting it", t, f.Type))
		case f.Tag != "" && f.Type.Size() == 0:
			// Options of the whole struct, as in _ struct{} `cbor:",toarray"`.
			fields = append(fields, reflect.StructField{Name: f.Name, PkgPath: "main", Type: reflect.TypeFor[struct{}](), Tag: f.Tag})
		}
	}
	n.twin = reflect.StructOf(fields)
	n.conv = func(s *state, dst, src reflect.Value, depth int) error {
		for i := range convs {
			if err := p.convField(s, &convs[i], dst, src, depth); err != nil {
				return err
			}
		}
		return nil
	}
	return n
}

func (p *planner) convField(s *state, c *fieldConv, dst, src reflect.Value, depth int) error {
	to, from := c.twin, c.orig
	if p.decoding {
		to, from = from, to
	}
	v := src.Field(from)
	if c.omit != nil && c.omit(v) {
		return nil
	}
	return c.node.into(s, dst.Field(to), v, depth)
}

// field returns the conversion of f, an exported field.
func (p *planner) field(f reflect.StructField) fieldConv {
	elem := p.node(f.Type)
	if p.decoding || elem.conv == nil {
		return fieldConv{node: elem}
	}
	tag := string(f.Tag)
	zero := strings.Contains(tag, "omitzero")
	empty := p.reducer(f.Type) != nil && strings.Contains(tag, "omitempty")
	if !zero && !empty {
		return fieldConv{node: elem}
	}
	// What is left out is decided by the value, not by its twin, which may lack an
	// IsZero method or be of another kind.
	return fieldConv{
		node: &node{typ: f.Type, twin: reflect.TypeFor[any](), conv: convStaticOrDynamic(f.Type)},
		omit: func(v reflect.Value) bool { return zero && isZero(v) || empty && isEmpty(v) },
	}
}

func convStaticOrDynamic(t reflect.Type) func(*state, reflect.Value, reflect.Value, int) error {
	if t.Kind() == reflect.Interface {
		return convDynamic
	}
	return convStatic
}

// embeddedNode returns the node of f, which embeds the struct e. The twin never
// has methods, which reflection could not promote.
func (p *planner) embeddedNode(f reflect.StructField, e reflect.Type, within []reflect.Type) *node {
	elem := p.makeStruct(e, within)
	if f.Type.Kind() != reflect.Pointer {
		return elem
	}
	return &node{typ: f.Type, twin: reflect.PointerTo(elem.twin), conv: func(s *state, dst, src reflect.Value, depth int) error {
		if src.IsNil() {
			return nil
		}
		if !dst.CanSet() {
			return fmt.Errorf("cannot set the embedded pointer to unexported %s", e)
		}
		dst.Set(reflect.New(p.made(elem)))
		return elem.into(s, dst.Elem(), src.Elem(), depth)
	}}
}

// exportedName returns an exported name for an embedded field of t, none of
// t's own and none of the fields made so far.
func exportedName(name string, t reflect.Type, fields []reflect.StructField) string {
	first, n := utf8.DecodeRuneInString(name)
	upper := string(unicode.ToUpper(first)) + name[n:]
	if r, _ := utf8.DecodeRuneInString(upper); !unicode.IsUpper(r) {
		upper = "E" + name
	}
	taken := func(s string) bool {
		if f, ok := t.FieldByName(s); ok && len(f.Index) == 1 && s != name {
			return true
		}
		return slices.ContainsFunc(fields, func(f reflect.StructField) bool { return f.Name == s })
	}
	out := upper
	for i := 2; taken(out); i++ {
		out = upper + strconv.Itoa(i)
	}
	return out
}

// isZero is what omitzero asks.
func isZero(v reflect.Value) bool {
	if v.IsZero() {
		return v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface || !hasIsZero(v) || callIsZero(v)
	}
	return v.Kind() != reflect.Interface && hasIsZero(v) && callIsZero(v)
}

type zeroer interface{ IsZero() bool }

func hasIsZero(v reflect.Value) bool {
	return reflect.PointerTo(v.Type()).Implements(reflect.TypeFor[zeroer]()) || v.Type().Implements(reflect.TypeFor[zeroer]())
}

func callIsZero(v reflect.Value) bool {
	if z, ok := reflect.TypeAssert[zeroer](v); ok {
		return z.IsZero()
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	z, ok := reflect.TypeAssert[zeroer](p)
	return ok && z.IsZero()
}

// isEmpty is what omitempty asks.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	default:
		return v.IsZero()
	}
}
