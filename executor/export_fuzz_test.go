package executor

import (
	"bytes"

	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/serialize"
)

// A FakeAnswer is a frame that a process which is not trusted has written.
type FakeAnswer struct {
	Type    wire.Type
	Code    uint32
	Payload []byte
}

// conn returns a connection on which the frame has come, with its header read.
func (a FakeAnswer) conn() (*conn, wire.Header, error) {
	var b bytes.Buffer
	if err := wire.NewWriter(&b).Write(wire.Header{Type: a.Type, ID: 1, Code: a.Code}, a.Payload); err != nil {
		return nil, wire.Header{}, err
	}
	cn := &conn{r: wire.NewReader(&b)}
	h, err := cn.r.Next(wire.Limits{{Type: a.Type, Max: wire.MaxPayload}})
	return cn, h, err
}

// fakeCall is a call of the module's.
func fakeCall(m *serialize.Module, p *program) *call {
	return &call{
		core: new(core), module: &module{source: m, program: p},
		target: target{module: m, name: "f", limits: defaultLimits},
	}
}

// Failure gives a FAIL its exported form; answered is whether its worker lives on.
func (a FakeAnswer) Failure(m *serialize.Module) (err error, answered bool) {
	cn, h, err := a.conn()
	if err != nil {
		return err, false
	}
	w := &worker{core: new(core), conn: cn}
	err = w.failure(h, fakeCall(m, nil))
	if answer, ok := err.(answerError); ok { //nolint:errorlint // never wrapped
		return answer.err, true
	}
	return err, false
}

// Captured reads a CAPTURED for a module that was rewritten in that way.
func (a FakeAnswer) Captured(m *serialize.Module, layout wire.Layout) (wire.Image, error) {
	cn, _, err := a.conn()
	if err != nil {
		return wire.Image{}, err
	}
	return cn.capturedImage(fakeCall(m, &program{layout: &layout}))
}
