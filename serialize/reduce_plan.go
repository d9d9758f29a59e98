package serialize

import (
	"fmt"
	"reflect"
	"sync"
)

// maxDepth is how many pointers, interfaces and containers a value may be nested
// in for Encode. Readers take far less: for CBOR 256 arrays, maps and tags.
const maxDepth = 10_000

var errDepth = fmt.Errorf("the value is cyclic, or nested deeper than %d levels", maxDepth)

// A planner makes the nodes of one direction, each once.
type planner struct {
	r        *Reducers
	decoding bool
	leaf     func(reflect.Type) bool
	nodes    sync.Map // reflect.Type → *node, finished ones
}

func (p *planner) init(r *Reducers, decoding bool) { p.r, p.decoding, p.leaf = r, decoding, isLeaf }

// reducer returns the reducer of t, if it has one in this direction.
func (p *planner) reducer(t reflect.Type) *Reducer {
	d := p.r.byType[t]
	if d == nil || p.decoding && d.restore == nil || !p.decoding && d.reduce == nil {
		return nil
	}
	return d
}

// A node says what a type travels as. The twin of a type without anything to
// reduce is the type itself.
//
// Where a type is recursive, its twin could only be a type with a name, which
// reflection cannot make. There the twin's part is an any when encoding, which
// holds the twin, and a *[rawItem] or [rawItem] when decoding.
type node struct {
	typ, twin reflect.Type
	// conv fills dst from src: the twin from the value when encoding, the value
	// from its twin when decoding. dst is zero and can be set. Nil copies.
	conv func(s *state, dst, src reflect.Value, depth int) error
}

// state is that of one conversion.
type state struct {
	r     *Reducers
	codec Codec
	work  int64 // bytes of raw items that may still be decoded
}

func (n *node) into(s *state, dst, src reflect.Value, depth int) error {
	if n.conv == nil {
		dst.Set(src)
		return nil
	}
	if depth > maxDepth {
		return errDepth
	}
	return n.conv(s, dst, src, depth+1)
}

// node returns t's. Two callers may make the same one at once; they are alike.
func (p *planner) node(t reflect.Type) *node {
	if n, ok := p.nodes.Load(t); ok {
		return n.(*node) //nolint:errcheck // it holds nothing else
	}
	n := p.make(t)
	p.nodes.Store(t, n)
	return n
}

func (p *planner) make(t reflect.Type) *node {
	if d := p.reducer(t); d != nil {
		return p.makeReduced(t, d)
	}
	if !p.converts(t) {
		return &node{typ: t, twin: t}
	}
	switch t.Kind() {
	case reflect.Interface:
		return &node{typ: t, twin: reflect.TypeFor[any](), conv: convDynamic}
	case reflect.Pointer:
		return p.makePointer(t)
	case reflect.Slice:
		return p.makeSlice(t)
	case reflect.Array:
		elem := p.part(t, t.Elem())
		return &node{typ: t, twin: reflect.ArrayOf(t.Len(), elem.twin), conv: func(s *state, dst, src reflect.Value, depth int) error {
			return convElems(s, elem, dst, src, depth)
		}}
	case reflect.Map:
		return p.makeMap(t)
	default:
		return p.makeStruct(t, nil)
	}
}

// converts reports whether a t may hold anything that travels as something else.
// An interface may when encoding; decoded, it holds what the codec makes.
func (p *planner) converts(t reflect.Type) bool {
	return p.needs(t) || !p.decoding && p.holdsInterface(t)
}

// part returns the node of an element of container: by way of a carrier if its
// type is recursive.
func (p *planner) part(container, elem reflect.Type) *node {
	if !p.converts(elem) || !p.recursive(container, elem) {
		return p.node(elem)
	}
	if p.decoding {
		return &node{typ: elem, twin: reflect.TypeFor[rawItem](), conv: func(s *state, dst, src reflect.Value, depth int) error {
			return convRaw(s, p.node(elem), dst, src, depth)
		}}
	}
	return &node{typ: elem, twin: reflect.TypeFor[any](), conv: convStatic}
}

// made returns the type that n's conversion makes: the twin or the type.
func (p *planner) made(n *node) reflect.Type {
	if p.decoding {
		return n.typ
	}
	return n.twin
}

func (p *planner) makePointer(t reflect.Type) *node {
	elem := p.part(t, t.Elem())
	n := &node{typ: t, twin: reflect.PointerTo(elem.twin)}
	n.conv = func(s *state, dst, src reflect.Value, depth int) error {
		if src.IsNil() {
			return nil
		}
		v := reflect.New(p.made(n).Elem())
		if err := elem.into(s, v.Elem(), src.Elem(), depth); err != nil {
			return err
		}
		dst.Set(v)
		return nil
	}
	return n
}

func (p *planner) makeSlice(t reflect.Type) *node {
	elem := p.part(t, t.Elem())
	n := &node{typ: t, twin: reflect.SliceOf(elem.twin)}
	n.conv = func(s *state, dst, src reflect.Value, depth int) error {
		if src.IsNil() {
			return nil
		}
		dst.Set(reflect.MakeSlice(p.made(n), src.Len(), src.Len()))
		return convElems(s, elem, dst, src, depth)
	}
	return n
}

func convElems(s *state, elem *node, dst, src reflect.Value, depth int) error {
	for i := range src.Len() {
		if err := elem.into(s, dst.Index(i), src.Index(i), depth); err != nil {
			return err
		}
	}
	return nil
}

func (p *planner) makeMap(t reflect.Type) *node {
	key, elem := p.keyNode(t.Key()), p.part(t, t.Elem())
	if !key.twin.Comparable() {
		panic(fmt.Errorf("keys of %s would be %s, which is no type for a key", t, key.twin))
	}
	n := &node{typ: t, twin: reflect.MapOf(key.twin, elem.twin)}
	n.conv = func(s *state, dst, src reflect.Value, depth int) error {
		if src.IsNil() {
			return nil
		}
		m := reflect.MakeMapWithSize(p.made(n), src.Len())
		for it := src.MapRange(); it.Next(); {
			k, v := reflect.New(p.made(key)).Elem(), reflect.New(p.made(elem)).Elem()
			if err := key.into(s, k, it.Key(), depth); err != nil {
				return err
			}
			if err := elem.into(s, v, it.Value(), depth); err != nil {
				return err
			}
			if !k.Comparable() {
				return fmt.Errorf("a key of %s became a %s, which cannot be one", t, k.Type())
			}
			m.SetMapIndex(k, v)
		}
		if m.Len() != src.Len() {
			return fmt.Errorf("different keys of %s became the same", t)
		}
		dst.Set(m)
		return nil
	}
	return n
}

// keyNode returns the node of a map's key: it is there, and never null.
func (p *planner) keyNode(t reflect.Type) *node {
	d := p.reducer(t)
	if d == nil {
		return p.node(t)
	}
	repr := p.keyNode(d.repr)
	return &node{typ: t, twin: repr.twin, conv: func(s *state, dst, src reflect.Value, depth int) error {
		if p.decoding {
			return restoreInto(s, d, repr, dst, src, depth)
		}
		return reduceInto(s, d, repr, dst, src, depth)
	}}
}

// makeReduced returns the node of a type with a reducer. When encoding its twin is
// that of the R, or a pointer to it if the type is one and may be nil; when
// decoding always a pointer, nil for null and for what is not there.
func (p *planner) makeReduced(t reflect.Type, d *Reducer) *node {
	repr := p.part(t, d.repr)
	if p.decoding {
		return &node{typ: t, twin: reflect.PointerTo(repr.twin), conv: func(s *state, dst, src reflect.Value, depth int) error {
			if src.IsNil() {
				return nil
			}
			return restoreInto(s, d, repr, dst, src.Elem(), depth)
		}}
	}
	if t.Kind() != reflect.Pointer {
		return &node{typ: t, twin: repr.twin, conv: func(s *state, dst, src reflect.Value, depth int) error {
			return reduceInto(s, d, repr, dst, src, depth)
		}}
	}
	return &node{typ: t, twin: reflect.PointerTo(repr.twin), conv: func(s *state, dst, src reflect.Value, depth int) error {
		if src.IsNil() {
			return nil
		}
		dst.Set(reflect.New(repr.twin))
		return reduceInto(s, d, repr, dst.Elem(), src, depth)
	}}
}

func reduceInto(s *state, d *Reducer, repr *node, dst, src reflect.Value, depth int) error {
	v, err := d.reduce(src)
	if err != nil {
		return err
	}
	switch {
	case v.Kind() == reflect.Slice && v.IsNil():
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	case v.Kind() == reflect.Map && v.IsNil():
		v.Set(reflect.MakeMap(v.Type()))
	}
	if repr.conv == nil {
		if _, err := s.r.guard(s.codec, v, depth); err != nil {
			return err
		}
	}
	return repr.into(s, dst, v, depth)
}

func restoreInto(s *state, d *Reducer, repr *node, dst, src reflect.Value, depth int) error {
	v := reflect.New(repr.typ).Elem()
	if err := repr.into(s, v, src, depth); err != nil {
		return err
	}
	t, err := d.restore(v)
	if err != nil {
		return err
	}
	dst.Set(t)
	return nil
}

// convDynamic fills an any with the twin of what an interface holds.
func convDynamic(s *state, dst, src reflect.Value, depth int) error {
	if src.IsNil() {
		return nil
	}
	return convStatic(s, dst, src.Elem(), depth)
}

// convStatic fills an any with the twin of src.
func convStatic(s *state, dst, src reflect.Value, depth int) error {
	n := s.r.enc.node(src.Type())
	if n.conv == nil {
		dst.Set(src)
		return nil
	}
	v := reflect.New(n.twin).Elem()
	if err := n.into(s, v, src, depth); err != nil {
		return err
	}
	dst.Set(v)
	return nil
}

// reduced returns what c encodes in v's place.
func (r *Reducers) reduced(c Codec, v any) (any, error) {
	src := reflect.ValueOf(v)
	if !src.IsValid() {
		return v, nil
	}
	found, err := r.guard(c, src, 0)
	if err != nil || !found {
		return v, err
	}
	n := r.enc.node(src.Type())
	dst := reflect.New(n.twin).Elem()
	if err := n.into(&state{r: r, codec: c}, dst, src, 0); err != nil {
		return nil, err
	}
	return dst.Interface(), nil
}
