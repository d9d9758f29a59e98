package serialize

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// A shape is what the bounds know of a type: how much memory the items that
// decode into it take. Shapes of recursive types are circular.
type shape struct {
	kind shapeKind
	// The type decodes itself, whatever comes: with JSON, and with CBOR, where types
	// with UnmarshalText or UnmarshalBinary alone do so only with strings.
	ownJSON, ownCBOR bool
	// size is that of a value where it stands; its container counts it.
	size int64
	// worst is what one byte of data may take at most.
	worst int64
	elem  *shape
	key   *shape
	len   int // of an array

	cbor, json *fieldSet
}

type shapeKind uint8

const (
	shapeScalar shapeKind = iota // numbers and booleans; also what cannot be decoded
	shapeString
	shapeBytes
	shapeSlice
	shapeArray
	shapeMap
	shapeStruct
	shapePointer
	shapeAny
)

// slot returns what a pair of a map takes in its tables.
func (s *shape) slot() int64 { return s.key.size + s.elem.size }

var anyShape = newAnyShape()

func newAnyShape() *shape {
	s := &shape{kind: shapeAny, size: 16, worst: 16 + costAnyMax}
	s.elem = s
	s.key = &shape{kind: shapeString, size: 16, worst: 32}
	return s
}

// shape returns t's.
func (r *Reducers) shape(t reflect.Type) *shape {
	if s, ok := r.shapes.Load(t); ok {
		return s.(*shape) //nolint:errcheck // it holds nothing else
	}
	m := shapeMaker{r: r, made: map[reflect.Type]*shape{}}
	s := m.make(t)
	for _, of := range m.made {
		s.worst = max(s.worst, 2*of.size+of.own(0)) // twice for JSON, where slices grow
	}
	s.worst = max(s.worst, costTag, costKey) + 3 // a byte of text that is no UTF-8 becomes three
	got, _ := r.shapes.LoadOrStore(t, s)
	return got.(*shape) //nolint:errcheck // it holds nothing else
}

// own returns what one item takes at most, beside its place and its bytes.
func (s *shape) own(depth int) int64 {
	switch s.kind {
	case shapeAny:
		return costAnyMax
	case shapePointer:
		if depth > maxPointers {
			return maxBound
		}
		return s.elem.size + s.elem.own(depth+1)
	case shapeMap:
		return costMap + 8 + 16*s.slot() // JSON grows it
	case shapeStruct:
		return costKey + costKeys + max(s.cbor.embedded, s.json.embedded)
	case shapeSlice:
		return costString + jsonFirst*s.elem.size
	default:
		return costTag
	}
}

// maxPointers is how many pointers to pointers are followed.
const maxPointers = 64

// jsonFirst is the number of elements that encoding/json makes room for at first.
const jsonFirst = 4

type shapeMaker struct {
	r    *Reducers
	made map[reflect.Type]*shape
}

func (m *shapeMaker) make(t reflect.Type) *shape {
	if s := m.made[t]; s != nil {
		return s
	}
	s := &shape{size: int64(t.Size())}
	m.made[t] = s
	if m.r.dec.converts(t) {
		// Both the value and its twin are there at once.
		s.size += int64(m.r.dec.node(t).twin.Size())
		if m.r.dec.inCycle(t) {
			s.size += costRaw
		}
	}
	if d := m.r.dec.reducer(t); d != nil {
		s.kind, s.elem = shapePointer, m.make(d.repr)
		return s
	}
	if k := t.Kind(); k != reflect.Pointer && k != reflect.Interface && ownMethods(t) {
		s.ownJSON = true
		s.ownCBOR = reflect.PointerTo(t).Implements(reflect.TypeFor[cbor.Unmarshaler]())
		if s.ownCBOR {
			return s
		}
	}
	switch {
	case t.Kind() == reflect.String:
		s.kind = shapeString
	case t.Kind() == reflect.Interface:
		if t.NumMethod() == 0 {
			m.made[t] = anyShape
			return anyShape
		}
	case t.Kind() == reflect.Pointer:
		s.kind, s.elem = shapePointer, m.make(t.Elem())
	default:
		m.container(s, t)
	}
	return s
}

func (m *shapeMaker) container(s *shape, t reflect.Type) {
	switch t.Kind() {
	case reflect.Slice:
		s.kind, s.elem = shapeSlice, m.make(t.Elem())
		if t.Elem().Kind() == reflect.Uint8 && s.elem.kind == shapeScalar {
			s.kind = shapeBytes
		}
	case reflect.Array:
		s.kind, s.elem, s.len = shapeArray, m.make(t.Elem()), t.Len()
	case reflect.Map:
		s.kind, s.key, s.elem = shapeMap, m.make(t.Key()), m.make(t.Elem())
	case reflect.Struct:
		s.kind = shapeStruct
		s.cbor, s.json = m.fields(t, true), m.fields(t, false)
	default:
	}
}

// A fieldSet finds the fields of a struct as a codec does.
type fieldSet struct {
	byName   map[string]*shape
	byFold   map[string]*shape // JSON: by names without regard to case
	byInt    map[string]*shape // CBOR: by integers, as text
	inOrder  []*shape          // CBOR, for structs that are arrays; else nil
	embedded int64             // size of what embedded pointers point to
}

type boundField struct {
	name   string
	asInt  bool
	tagged bool
	depth  int
	shape  *shape
}

// fields returns those of t, by the rules that encoding/json and the CBOR codec
// share: the least nested one of a name, then the one with a tag, then none.
func (m *shapeMaker) fields(t reflect.Type, isCBOR bool) *fieldSet {
	set := &fieldSet{byName: map[string]*shape{}, byFold: map[string]*shape{}, byInt: map[string]*shape{}}
	var all []boundField
	m.collect(t, isCBOR, nil, func(f boundField) { all = append(all, f) }, &set.embedded)
	for _, f := range all {
		rank := func(g boundField) int { return 2*g.depth + map[bool]int{false: 1}[g.tagged] }
		best := true
		for _, g := range all {
			// An ambiguous name is kept, which only estimates more.
			best = best && (g.name != f.name || g.asInt != f.asInt || rank(g) >= rank(f))
		}
		if !best {
			continue
		}
		if f.asInt {
			set.byInt[f.name] = f.shape
		} else {
			set.byName[f.name] = f.shape
			if fold := foldName(f.name); set.byFold[fold] == nil {
				set.byFold[fold] = f.shape
			}
		}
		set.inOrder = append(set.inOrder, f.shape)
	}
	options, ok := t.FieldByName("_")
	if _, tag, _ := strings.Cut(options.Tag.Get("cbor"), ","); !ok || !strings.Contains(tag, "toarray") {
		set.inOrder = nil
	}
	return set
}

func (m *shapeMaker) collect(t reflect.Type, isCBOR bool, within []reflect.Type, add func(boundField), pointers *int64) {
	if slices.Contains(within, t) {
		return
	}
	within = append(slices.Clip(within), t)
	for f := range visibleFields(t) {
		tag := f.Tag.Get("cbor")
		if !isCBOR || tag == "" {
			tag = f.Tag.Get("json")
		}
		if tag == "-" {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if !isCBOR && !validName(name) {
			name = ""
		}
		if e, ok := embedded(f); ok && name == "" && !m.r.dec.asField(f, e) {
			if f.Type.Kind() == reflect.Pointer {
				*pointers += m.make(e).size
			}
			m.collect(e, isCBOR, within, add, pointers)
			continue
		}
		if !f.IsExported() {
			continue // embedded with a name of its own
		}
		bf := boundField{name: name, tagged: name != "", depth: len(within), shape: m.make(f.Type)}
		if name == "" {
			bf.name = f.Name
		}
		bf.asInt = isCBOR && strings.Contains(","+options+",", ",keyasint,")
		add(bf)
	}
}

// validName reports whether encoding/json takes name from a tag.
func validName(name string) bool {
	for _, c := range name {
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return false
		}
	}
	return name != ""
}

// foldName returns the same for names that differ in case only, as encoding/json
// sees it.
func foldName(name string) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				return next
			}
			r = next
		}
	}, name)
}

// jsonField returns the field for a key as it stands in JSON, without its quotes,
// and what reading such a key costs.
func (s *fieldSet) jsonField(key []byte) (f *shape, cost int64) {
	if f := s.byName[string(key)]; f != nil {
		return f, 0
	}
	name := string(key)
	cost = 2 * (costString + int64(len(name)))
	if strings.IndexByte(name, '\\') >= 0 || !utf8.Valid(key) {
		if json.Unmarshal([]byte(`"`+name+`"`), &name) != nil {
			return nil, 0
		}
		cost += 16 * int64(len(key)) // wrong bytes become three each, in buffers that grow
	}
	if f := s.byName[name]; f != nil {
		return f, cost
	}
	return s.byFold[foldName(name)], cost
}
