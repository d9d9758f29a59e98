package serialize

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
)

// maxRawDepth is how deep recursive types may be nested in what is decoded: as
// deep as CBOR allows. Each level costs one pass over what is inside it, so the
// passes are bounded, too.
const (
	maxRawDepth = 256
	maxRawWork  = 16 << 20 // bytes, beside 16 times the input
)

// A rawItem keeps the item that a codec gives to it. It does not copy: it lives
// no longer than the data that Decode was given.
type rawItem struct {
	data []byte
}

// UnmarshalCBOR keeps data.
func (i *rawItem) UnmarshalCBOR(data []byte) error { return i.keep(data) }

// UnmarshalJSON keeps data.
func (i *rawItem) UnmarshalJSON(data []byte) error { return i.keep(data) }

// UnmarshalMsgpack keeps a copy of data: MessagePack decoders reuse their buffers.
func (i *rawItem) UnmarshalMsgpack(data []byte) error { return i.keep(bytes.Clone(data)) }

func (i *rawItem) keep(data []byte) error {
	i.data = data
	return nil
}

var errNoRaw = errors.New("the type is recursive and holds types with reducers, which takes a codec that gives raw items to UnmarshalCBOR, UnmarshalJSON or UnmarshalMsgpack")

// convRaw decodes the item in src into the type of n.
func convRaw(s *state, n *node, dst, src reflect.Value, depth int) error {
	data := src.Field(0).Bytes()
	if len(data) == 0 {
		return nil // there was no item
	}
	if depth > 4*maxRawDepth {
		return fmt.Errorf("nested deeper than %d levels", maxRawDepth)
	}
	if s.work -= int64(len(data)); s.work < 0 {
		return errors.New("too much data too deep in a recursive type")
	}
	twin := reflect.New(n.twin)
	if err := s.codec.Decode(data, twin.Interface()); err != nil {
		return err
	}
	return n.into(s, dst, twin.Elem(), depth)
}

// keepsRaw reports whether c gives raw items to [rawItem].
func keepsRaw(c Codec) bool {
	data, err := c.Encode([]rawProbe{{A: 7}})
	if err != nil {
		return false
	}
	var items []rawItem
	if c.Decode(data, &items) != nil || len(items) != 1 || len(items[0].data) == 0 {
		return false
	}
	var back rawProbe
	return c.Decode(items[0].data, &back) == nil && back.A == 7
}

type rawProbe struct{ A int }

// restored decodes data into dst, whose type may hold what is to be restored.
func (r *Reducers) restored(c Codec, data []byte, dst reflect.Value, max int64) error {
	n := r.dec.node(dst.Type())
	twin := reflect.New(n.twin)
	direct := n.conv == nil
	if direct {
		twin = dst.Addr()
	}
	d := r.dec.reducer(dst.Type())
	raw := d != nil && c == Raw // which takes a *[]byte, and has no null
	if raw {
		twin = reflect.New(r.dec.node(d.repr).twin)
	}
	if max > 0 {
		if err := r.bound(c, data, twin.Interface(), dst.Type(), max); err != nil {
			return err
		}
	}
	s := &state{r: r, codec: c, work: maxRawWork + 16*int64(len(data))}
	if !direct && !raw && r.dec.cyclic(dst.Type(), r.dec.needs) && !keepsRaw(c) {
		return errNoRaw
	}
	if err := c.Decode(data, twin.Interface()); err != nil || direct {
		return err
	}
	dst.SetZero()
	if raw {
		return restoreInto(s, d, r.dec.node(d.repr), dst, twin.Elem(), 0)
	}
	return n.into(s, dst, twin.Elem(), 0)
}
