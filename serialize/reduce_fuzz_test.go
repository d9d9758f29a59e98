package serialize_test

import (
	"bytes"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/sandpool/sandpool/serialize"
)

// maker makes values of what it was given.
type maker struct {
	data  []byte
	depth int
}

func (m *maker) int() int {
	if len(m.data) == 0 {
		return 0
	}
	n := int(m.data[0])
	m.data = m.data[1:]
	return n
}

// len returns a small length, -1 for nil.
func (m *maker) len() int { return m.int()%5 - 1 }

func (m *maker) secret() secret { return secret{m.int() - 100} }

func (m *maker) text() string { return string(rune('a' + m.int()%26)) }

func some[T any](m *maker, one func() T) []T {
	n := m.len()
	if n < 0 {
		return nil
	}
	out := make([]T, n)
	for i := range out {
		out[i] = one()
	}
	return out
}

func mapped[K comparable, T any](m *maker, key func() K, one func() T) map[K]T {
	n := m.len()
	if n < 0 {
		return nil
	}
	out := map[K]T{}
	for range n {
		out[key()] = one()
	}
	return out
}

func maybe[T any](m *maker, one func() T) *T {
	if m.int()%2 == 0 {
		return nil
	}
	v := one()
	return &v
}

func (m *maker) node() (n node) {
	if m.depth++; m.depth < 20 {
		n.Next = maybe(m, m.node)
		// What is left out when empty comes back as nil.
		if n.Kids = some(m, func() *node { return maybe(m, m.node) }); len(n.Kids) == 0 {
			n.Kids = nil
		}
		if n.Map = mapped(m, m.text, m.node); len(n.Map) == 0 {
			n.Map = nil
		}
	}
	m.depth--
	n.X = m.secret()
	return n
}

func (m *maker) rich() rich {
	r := rich{
		Plain: m.text(), S: m.secret(), P: maybe(m, m.secret), Slice: some(m, m.secret), Named: some(m, m.secret), Array: [2]secret{m.secret(), m.secret()},
		ByName: mapped(m, m.text, m.secret), Keys: mapped(m, m.secret, m.text), Kinds: mapped(m, m.kind, func() []secret { return some(m, m.secret) }),
		Deep: some(m, func() map[string]*[1]secret {
			return mapped(m, m.text, func() *[1]secret { return maybe(m, func() [1]secret { return [1]secret{m.secret()} }) })
		}),
		Sealed:  maybe(m, func() sealed { return sealed{m.text()} }),
		Sealeds: some(m, func() *sealed { return maybe(m, func() sealed { return sealed{m.text()} }) }),
		Wrap:    some(m, func() wrap { return wrap{m.secret()} }),
		At:      time.Unix(int64(m.int())*1e6, 0).UTC(), Bytes: []byte(m.text()), Empty: m.kind(),
		Inner: maybe(m, func() inner { return inner{A: m.int(), B: m.text()} }), Node: maybe(m, m.node),
		base: base{ID: m.secret(), Note: m.text()}, Exported: maybe(m, func() Exported { return Exported{m.secret()} }),
	}
	if r.P != nil {
		r.PP = &r.P
	}
	if m.int()%2 == 0 {
		r.Big = big.NewInt(int64(m.int()))
	}
	if x := m.int(); x != 0 {
		r.Left = point{x, m.int()}
	}
	return r
}

func (m *maker) kind() kind { return kind(m.int() % 8) }

func FuzzReduce(f *testing.F) {
	f.Add([]byte{})
	for i := range 8 {
		seed := make([]byte, 400)
		for j := range seed {
			seed[j] = byte((j*j*(i+3) + j*31 + i) >> 1)
		}
		f.Add(seed)
	}
	r := reducers(f, all...)
	f.Fuzz(func(t *testing.T, data []byte) {
		m := maker{data: data}
		in := m.rich()
		for _, c := range []serialize.Codec{serialize.CBOR, plainJSON} {
			b, err := r.Encode(c, in)
			if err != nil {
				t.Fatal(err)
			}
			var out rich
			if err := r.Decode(c, b, &out, 1<<30); err != nil {
				t.Fatalf("%s: %v", b, err)
			}
			if !reflect.DeepEqual(in, out) {
				t.Fatalf("%+v became %+v by way of %s", in, out, b)
			}
			again, err := r.Encode(c, []any{out})
			if err != nil || !bytes.Contains(again, b) {
				t.Fatalf("%s became %s in an interface (%v)", b, again, err)
			}
			// Data that nobody encoded does not make it panic.
			_ = r.Decode(c, data, &out, 1<<20)
		}
	})
}
