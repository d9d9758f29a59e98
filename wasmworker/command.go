package wasmworker

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/serialize"
)

// A pipe collects what a command writes to one of its standard streams.
type pipe struct {
	s    *server
	data chunks
	tail *lines // also gets what is written; nil for nobody
}

// Write implements io.Writer. It ends the call when both streams together are more
// than its output may be.
func (p *pipe) Write(b []byte) (int, error) {
	c := p.s.call
	c.lives()
	if total := c.pipes[0].data.size + c.pipes[1].data.size + uint64(len(b)); total > c.maxOutput {
		p.s.end(limitFailure(guestabi.LimitOutput, c.maxOutput, total))
	}
	p.data.add(b)
	if p.tail != nil {
		p.tail.keep(b)
	}
	return len(b), nil
}

// beCommand makes a call that of a command: it has arguments, an environment and
// standard streams of its own.
func (c *call) beCommand(s *server) error {
	var in wire.Command
	if err := wire.Unmarshal(c.input.bytes, &in); err != nil {
		return err
	}
	c.pipes = &[2]pipe{{s: s}, {s: s, tail: c.stderr}}
	c.input = incoming{}
	w := &c.system
	w.Args, w.Env, w.Piped = in.Args, in.Env, true
	w.Stdout, w.Stderr = &c.pipes[0], &c.pipes[1]
	return nil
}

// runCommand runs a command to its end, whatever its exit code.
func (s *server) runCommand(inst *instance, c *call) *failure {
	start := inst.module.ExportedFunction(guestabi.ExportStart)
	if start == nil || len(start.Definition().ParamTypes())+len(start.Definition().ResultTypes()) > 0 {
		return moduleFailure(serialize.MissingExport, guestabi.ExportStart, "the module is no WASI command")
	}
	code := uint32(0)
	if _, err := start.Call(context.Background()); err != nil {
		f := c.classify(err)
		if f.kind != wire.KindGuest || f.Guest != guestabi.CodeExit {
			return f
		}
		code = f.Exit
	}
	c.output.parts = c.commandResult(code)
	return nil
}

// CBOR's major types of what a result is made of.
const (
	cborUint  = 0 << 5
	cborBytes = 2 << 5
	cborText  = 3 << 5
	cborMap   = 5 << 5
)

// commandResult returns the parts of a [wire.CommandResult], which is encoded here so
// that what a command has written is not copied.
func (c *call) commandResult(code uint32) [][]byte {
	b := cborHead(nil, cborMap, 3)
	b = cborHead(append(cborHead(b, cborText, 8), "ExitCode"...), cborUint, uint64(code))
	b = cborHead(append(cborHead(b, cborText, 6), "Stderr"...), cborBytes, c.pipes[1].data.size)
	parts := append([][]byte{b}, c.pipes[1].data.parts...)
	b = cborHead(append(cborHead(nil, cborText, 6), "Stdout"...), cborBytes, c.pipes[0].data.size)
	return append(append(parts, b), c.pipes[0].data.parts...)
}

// cborHead appends the head of a data item in its shortest form.
func cborHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, major|27), n)
	}
}

// dress gives a call what its CALL brought along besides the input.
func (s *server) dress(c *call, h wire.Header) error {
	if h.Flags&(wire.FlagStdin|wire.FlagCommand) == 0 {
		return nil
	}
	stdin, input, err := splitInput(h, c.input.bytes)
	if err != nil {
		return err
	}
	c.stdin, c.input = stdin, inMemory(input)
	if h.Flags&wire.FlagCommand == 0 {
		return nil
	}
	if err := c.beCommand(s); err != nil {
		return fmt.Errorf("CALL of a command: %w", err)
	}
	return nil
}
