package serialize

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// A Reducer says what values of one Go type travel as: see [Reduce].
type Reducer struct {
	typ, repr       reflect.Type
	reduce, restore func(reflect.Value) (reflect.Value, error) // nil: not in this direction
}

// Reduce returns a reducer of T: wherever a T stands in a value that is encoded,
// reduce's result is encoded in its place, and wherever a T is wanted by a value
// that is decoded, an R is decoded and restore makes the T of it. It is what
// loky's job_reducers and result_reducers do with a {type: function} table.
//
// Either function may be nil: then T is left to the codec in that direction. T
// is one concrete type: it is not its pointer, nor a type defined by it. R may
// hold other types that have reducers.
//
// A nil T of pointer kind is null, and reduce is not called. Null, or nothing,
// in a T's place is the zero T, and restore is not called: an R of nil slice or
// map kind is therefore written as an empty one. The functions must be safe for
// concurrent use; a panic in them is an error of that value.
func Reduce[T, R any](reduce func(T) (R, error), restore func(R) (T, error)) Reducer {
	d := Reducer{typ: reflect.TypeFor[T](), repr: reflect.TypeFor[R]()}
	if reduce != nil {
		d.reduce = applied(d.typ, "reduce", reduce)
	}
	if restore != nil {
		d.restore = applied(d.typ, "restore", restore)
	}
	return d
}

// applied returns f over reflect's values, with errors and panics that name t.
func applied[A, B any](t reflect.Type, op string, f func(A) (B, error)) func(reflect.Value) (reflect.Value, error) {
	return func(v reflect.Value) (out reflect.Value, err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
			if err != nil {
				err = fmt.Errorf("%s %s: %w", op, t, err)
			}
		}()
		a := new(A)
		reflect.ValueOf(a).Elem().Set(v)
		b, err := f(*a)
		return reflect.ValueOf(&b).Elem(), err
	}
}

// Reducers is a set of reducers, one for each type. It is immutable and safe for
// concurrent use; nil is the empty set. Sets know nothing of each other, as the
// dispatch tables of loky's executors do not.
//
// Reducers do not depend on the codec: a value is turned into one of a type that
// is like its own, with R for T and the same struct tags, and that is what the
// codec encodes. A type without any T in it, even in an interface, goes to
// the codec as it is.
//
// What a codec leaves to a type's own methods (MarshalCBOR, MarshalJSON,
// MarshalBinary, MarshalText and their counterparts) is left to them: a T inside
// such a type is not found, unless that type has a reducer itself. Nor are
// unexported fields, which codecs do not see either. A T embedded in a struct
// becomes a field of the type's name. What is decoded into an interface has the
// codec's types, never a T.
type Reducers struct {
	byType map[reflect.Type]*Reducer
	enc    planner
	dec    planner
	// guards have the classes for CBOR and for other codecs; shapes those of the
	// bounds, by reflect.Type.
	guards [2]classes
	shapes sync.Map
}

// NewReducers returns the set of the given reducers. It reports every one that
// cannot be used: without any function, of an interface type, of a type onto
// itself, of a type that has one already, and those that would go round in
// circles.
func NewReducers(reducers ...Reducer) (*Reducers, error) {
	r := newReducers(len(reducers))
	var errs []error
	for i := range reducers {
		d := &reducers[i]
		if err := d.validate(); err != nil {
			errs = append(errs, err)
			continue
		}
		if r.byType[d.typ] != nil {
			errs = append(errs, fmt.Errorf("two reducers of %s", d.typ))
			continue
		}
		own := *d
		r.byType[d.typ] = &own
	}
	if len(errs) == 0 {
		for i := range reducers {
			if t := reducers[i].typ; r.circular(t) {
				errs = append(errs, fmt.Errorf("reducer of %s: %s leads back to %[1]s", t, reducers[i].repr))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return r, nil
}

func newReducers(n int) *Reducers {
	r := &Reducers{byType: make(map[reflect.Type]*Reducer, n)}
	r.enc.init(r, false)
	r.dec.init(r, true)
	r.guards[0].init(r, isLeaf)
	r.guards[1].init(r, isCBORLeaf)
	return r
}

// none is what a nil *Reducers stands for: it has the caches.
var none = newReducers(0)

func (d *Reducer) validate() error {
	switch {
	case d.typ == nil:
		return errors.New("a reducer that Reduce did not make")
	case d.typ.Kind() == reflect.Interface:
		return fmt.Errorf("reducer of %s: an interface type, where each concrete type needs its own", d.typ)
	case d.reduce == nil && d.restore == nil:
		return fmt.Errorf("reducer of %s: neither reduce nor restore", d.typ)
	case d.typ == d.repr:
		return fmt.Errorf("reducer of %s: onto itself", d.typ)
	}
	return nil
}

// circular reports whether the R of t's reducer holds a t, or is one, by value:
// no R could ever be finished.
func (r *Reducers) circular(t reflect.Type) bool {
	for n, d := 0, r.byType[t]; d != nil; n, d = n+1, r.byType[d.repr] {
		if d.repr == t || n > len(r.byType) {
			return true
		}
	}
	if t.Kind() == reflect.Pointer {
		return false // nil ends it
	}
	seen := map[reflect.Type]bool{}
	var holds func(reflect.Type) bool
	holds = func(in reflect.Type) bool {
		if in == t || seen[in] {
			return in == t
		}
		seen[in] = true
		if d := r.byType[in]; d != nil {
			return in.Kind() != reflect.Pointer && holds(d.repr)
		}
		switch {
		case isLeaf(in):
		case in.Kind() == reflect.Array:
			return holds(in.Elem())
		case in.Kind() == reflect.Struct:
			for f := range visibleFields(in) {
				if holds(f.Type) {
					return true
				}
			}
		}
		return false
	}
	return holds(r.byType[t].repr)
}

// Encode encodes v with c after its reducers. A value that is cyclic, or nested
// deeper than 10 000 levels, is refused. Every failure is a [*Error], a panic in
// the codec, in a method of a value or in a reducer included. Pointers to one
// value become copies of it.
func (r *Reducers) Encode(c Codec, v any) (data []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil {
			data, err = nil, &Error{Op: "encode", Codec: c.Name(), Type: fmt.Sprintf("%T", v), Err: err}
		}
	}()
	if r == nil {
		r = none
	}
	twin, err := r.reduced(c, v)
	if err != nil {
		return nil, err
	}
	return c.Encode(twin)
}

// Decode decodes data into v, a non-nil pointer, with c, and restores what
// the reducers restore. Where the type has any of those, what v held before is
// lost; else the codec decides. A type that has some and is recursive
// needs a codec that hands raw items to UnmarshalCBOR, UnmarshalJSON or
// UnmarshalMsgpack.
//
// If max is positive and the value would take more than about max bytes of
// memory, Decode fails with a [*BoundError] before it allocates them: see there
// for what is counted. Every failure is a [*Error], a panic included, and may leave v
// half filled.
func (r *Reducers) Decode(c Codec, data []byte, v any, max int64) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil {
			err = &Error{Op: "decode", Codec: c.Name(), Type: strings.TrimPrefix(fmt.Sprintf("%T", v), "*"), Err: err}
		}
	}()
	if r == nil {
		r = none
	}
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return c.Decode(data, v) // the codec refuses it in its own words
	}
	if len(r.byType) == 0 {
		if max > 0 {
			if err := r.bound(c, data, v, p.Type().Elem(), max); err != nil {
				return err
			}
		}
		return c.Decode(data, v)
	}
	return r.restored(c, data, p.Elem(), max)
}
