package serialize

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
)

// cycleDepth is the depth beyond which the guard looks for cycles, so that it
// finds them before it runs out of levels and says so.
const cycleDepth = 1000

var errCycle = errors.New("the value is cyclic: a pointer, map or slice holds itself")

// A class is what the guard knows of a type, the same for every value of it.
type class struct {
	typ   reflect.Type
	kind  reflect.Kind
	walk  bool // a value may be nested deeper than its type, so it must be walked
	needs bool // it has types with a reducer in it
	elem  *class
	key   *class
	field []fieldClass // those worth walking
}

type fieldClass struct {
	index int
	class *class
}

// classes are those of the types that one kind of codec encodes. plain knows
// which types these look into, and no reducers.
type classes struct {
	r     *Reducers
	plain planner
	byTyp sync.Map   // reflect.Type → *class
	mu    sync.Mutex // held while some are made
}

func (cs *classes) init(r *Reducers, leaf func(reflect.Type) bool) {
	cs.r = r
	cs.plain.init(&Reducers{}, false)
	cs.plain.leaf = leaf
}

// class returns t's.
func (cs *classes) class(t reflect.Type) *class {
	if c, ok := cs.byTyp.Load(t); ok {
		return c.(*class) //nolint:errcheck // it holds nothing else
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	fresh := map[reflect.Type]*class{}
	c := cs.make(t, fresh)
	for t, c := range fresh { // all of them are finished now
		cs.byTyp.LoadOrStore(t, c)
	}
	return c
}

func (cs *classes) make(t reflect.Type, fresh map[reflect.Type]*class) *class {
	if c, ok := cs.byTyp.Load(t); ok {
		return c.(*class) //nolint:errcheck // it holds nothing else
	}
	if c := fresh[t]; c != nil {
		return c
	}
	c := &class{typ: t, kind: t.Kind(), needs: cs.r.enc.needs(t)}
	fresh[t] = c
	if c.kind == reflect.Interface {
		c.walk = true
		return c
	}
	// What a reducer makes is walked when it has been made.
	if cs.r.enc.reducer(t) != nil || cs.plain.leaf(t) {
		return c
	}
	c.walk = cs.plain.holdsInterface(t) || cs.plain.cyclic(t, func(reflect.Type) bool { return true })
	if !c.walk {
		return c
	}
	switch c.kind {
	case reflect.Map:
		c.key = cs.make(t.Key(), fresh)
		c.elem = cs.make(t.Elem(), fresh)
	case reflect.Struct:
		cs.makeFields(c, fresh)
	default:
		c.elem = cs.make(t.Elem(), fresh)
	}
	return c
}

func (cs *classes) makeFields(c *class, fresh map[reflect.Type]*class) {
	for f := range visibleFields(c.typ) {
		e, embeds := embedded(f)
		var fc *class
		switch {
		case embeds && !cs.r.enc.asField(f, e) && f.Type.Kind() == reflect.Struct && cs.plain.leaf(e):
			fc = &class{typ: e, kind: reflect.Struct, walk: true} // its fields are promoted all the same
			cs.makeFields(fc, fresh)
		default:
			fc = cs.make(f.Type, fresh)
		}
		if fc.walk {
			c.field = append(c.field, fieldClass{index: f.Index[0], class: fc})
		}
	}
}

// cyclic reports whether t consists of any type that consists of itself and for
// which ok holds.
func (p *planner) cyclic(t reflect.Type, ok func(reflect.Type) bool) bool {
	open := map[reflect.Type]bool{} // false once left
	var visit func(reflect.Type) bool
	visit = func(t reflect.Type) bool {
		if inside, seen := open[t]; seen {
			return inside && ok(t)
		}
		open[t] = true
		for part := range p.parts(t) {
			if visit(part) {
				return true
			}
		}
		open[t] = false
		return false
	}
	return visit(t)
}

// inCycle reports whether t consists of itself.
func (p *planner) inCycle(t reflect.Type) bool {
	for part := range p.parts(t) {
		if p.recursive(t, part) {
			return true
		}
	}
	return false
}

// guard walks v, which is at the given depth, and refuses it if it is cyclic or
// too deep: encoders would overflow the stack, which nothing can recover from.
// It reports whether v may hold anything with a reducer, by its type or in an interface.
func (r *Reducers) guard(codec Codec, v reflect.Value, depth int) (found bool, err error) {
	cs := &r.guards[0]
	if codec.Name() == "cbor" {
		cs = &r.guards[1]
	}
	c := cs.class(v.Type())
	if !c.walk {
		return c.needs, nil
	}
	w := walker{classes: cs, found: c.needs}
	err = w.walk(c, v, depth)
	return w.found, err
}

type walker struct {
	classes *classes
	found   bool
	path    map[visit]struct{} // what is being walked, beyond cycleDepth
}

type visit struct {
	typ reflect.Type
	ptr uintptr
	len int
}

func (w *walker) walk(c *class, v reflect.Value, depth int) error {
	if !c.walk {
		return nil
	}
	if depth > maxDepth {
		return errDepth
	}
	if depth > cycleDepth {
		leave, err := w.enter(c, v)
		if err != nil {
			return err
		}
		defer leave()
	}
	switch c.kind {
	case reflect.Interface:
		return w.walkInterface(v, depth)
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return w.walk(c.elem, v.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if err := w.walk(c.elem, v.Index(i), depth+1); err != nil {
				return err
			}
		}
	case reflect.Map:
		return w.walkMap(c, v, depth)
	case reflect.Struct:
		for _, f := range c.field {
			if err := w.walk(f.class, v.Field(f.index), depth+1); err != nil {
				return err
			}
		}
	default:
	}
	return nil
}

func (w *walker) walkMap(c *class, v reflect.Value, depth int) error {
	for it := v.MapRange(); it.Next(); {
		if c.key.walk {
			if err := w.walk(c.key, it.Key(), depth+1); err != nil {
				return err
			}
		}
		if c.elem.walk {
			if err := w.walk(c.elem, it.Value(), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walker) walkInterface(v reflect.Value, depth int) error {
	v = v.Elem()
	if !v.IsValid() {
		return nil
	}
	t := v.Type()
	if len(w.classes.r.byType) == 0 && (t.Kind() <= reflect.Complex128 || t.Kind() == reflect.String) {
		return nil
	}
	c := w.classes.class(t)
	w.found = w.found || c.needs
	return w.walk(c, v, depth+1)
}

// enter notes that v is being walked, until leave is called.
func (w *walker) enter(c *class, v reflect.Value) (leave func(), err error) {
	at := visit{typ: c.typ}
	switch c.kind {
	case reflect.Pointer, reflect.Map:
		at.ptr = v.Pointer()
	case reflect.Slice:
		at.ptr, at.len = v.Pointer(), v.Len()
	default:
		return func() {}, nil
	}
	if _, again := w.path[at]; again && at.ptr != 0 && (c.kind != reflect.Slice || at.len > 0) {
		return nil, fmt.Errorf("%w (%s)", errCycle, c.typ)
	}
	if w.path == nil {
		w.path = map[visit]struct{}{}
	}
	w.path[at] = struct{}{}
	return func() { delete(w.path, at) }, nil
}
