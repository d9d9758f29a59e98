package serialize

import (
	"errors"
	"fmt"
	"reflect"
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
	raw   bool // its decoding needs raw items
	elem  *class
	key   *class
	field []fieldClass // those worth walking
}

type fieldClass struct {
	index int
	class *class
}

// class returns t's.
func (r *Reducers) class(t reflect.Type) *class {
	if c, ok := r.classes.Load(t); ok {
		return c.(*class) //nolint:errcheck // it holds nothing else
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh := map[reflect.Type]*class{}
	c := r.makeClass(t, fresh)
	for t, c := range fresh { // all of them are finished now
		r.classes.LoadOrStore(t, c)
	}
	return c
}

func (r *Reducers) makeClass(t reflect.Type, fresh map[reflect.Type]*class) *class {
	if c, ok := r.classes.Load(t); ok {
		return c.(*class) //nolint:errcheck // it holds nothing else
	}
	if c := fresh[t]; c != nil {
		return c
	}
	c := &class{typ: t, kind: t.Kind(), needs: r.enc.needs(t)}
	fresh[t] = c
	c.raw = r.dec.needs(t) && r.dec.cyclic(t, r.dec.needs)
	if c.kind == reflect.Interface {
		c.walk = true
		return c
	}
	// Reducers are not followed: they are asked only for their values, later.
	if r.enc.reducer(t) != nil || isLeaf(t) {
		return c
	}
	c.walk = none.enc.holdsInterface(t) || none.enc.cyclic(t, func(reflect.Type) bool { return true })
	if !c.walk {
		return c
	}
	switch c.kind {
	case reflect.Map:
		c.key = r.makeClass(t.Key(), fresh)
		c.elem = r.makeClass(t.Elem(), fresh)
	case reflect.Struct:
		r.fieldClasses(c, fresh)
	default:
		c.elem = r.makeClass(t.Elem(), fresh)
	}
	return c
}

func (r *Reducers) fieldClasses(c *class, fresh map[reflect.Type]*class) {
	for f := range visibleFields(c.typ) {
		e, embeds := embedded(f)
		var fc *class
		switch {
		case embeds && !r.enc.asField(f, e) && f.Type.Kind() == reflect.Struct && isLeaf(e):
			fc = &class{typ: e, kind: reflect.Struct, walk: true} // its fields are promoted all the same
			r.fieldClasses(fc, fresh)
		default:
			fc = r.makeClass(f.Type, fresh)
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
// It reports whether v holds, in an interface, anything with a reducer.
func (r *Reducers) guard(v reflect.Value, depth int) (dynamic bool, err error) {
	c := r.class(v.Type())
	if !c.walk {
		return false, nil
	}
	w := walker{r: r}
	err = w.walk(c, v, depth)
	return w.dynamic, err
}

type walker struct {
	r       *Reducers
	dynamic bool
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
	if len(w.r.byType) == 0 && (t.Kind() <= reflect.Complex128 || t.Kind() == reflect.String) {
		return nil
	}
	c := w.r.class(t)
	w.dynamic = w.dynamic || c.needs
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
