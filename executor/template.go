package executor

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sandpool/sandpool/internal/codecache"
	"github.com/sandpool/sandpool/internal/quote"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/serialize"
)

// What a template process may take to compile a module.
const (
	compileTimeout = 60 * time.Second
	compileData    = 1 << 30 // bytes of private memory
)

// compile compiles a module in a process of its own and returns the entry, or
// nil when this build cannot hand compiled code to workers.
func (c *core) compile(m *module, p *program) (*codecache.Entry, error) {
	cn, err := c.connect("compile", wire.Hello{Role: wire.RoleTemplate, Data: compileData})
	if err != nil {
		return nil, err
	}
	if cn.ready.NoCache {
		cn.end(c)
		return nil, nil //nolint:nilnil // documented above
	}
	timer := time.AfterFunc(compileTimeout, cn.p.Kill)
	entry, err := cn.compile(m, p)
	late := !timer.Stop()
	exit := cn.end(c)
	if err == nil {
		return entry, nil
	}
	verdict := &serialize.ModuleError{Kind: serialize.Limit, Module: m.source.Name()}
	switch {
	case closedAlready(c.quit):
		return nil, ErrShutdown
	case late:
		verdict.Reason = fmt.Sprintf("compiling takes more than %v", compileTimeout)
		return nil, verdict
	case isEnd(err) && strings.Contains(exit.Stderr, "out of memory"):
		verdict.Reason = fmt.Sprintf("compiling takes more than %d MiB of memory", compileData>>20)
		return nil, verdict
	case isEnd(err):
		return nil, &StartError{Stage: "compile", Stderr: exit.Stderr, Err: exitReason(exit)}
	}
	if _, ok := errors.AsType[*serialize.ModuleError](err); ok {
		return nil, err
	}
	return nil, &StartError{Stage: "compile", Stderr: exit.Stderr, Err: err}
}

// compile sends the module and reads the entry back.
func (cn *conn) compile(m *module, p *program) (*codecache.Entry, error) {
	if err := cn.load(0, wire.Load{Source: p.sum[:], Digest: p.sum[:], Module: uint64(p.bytes.Size())}, p.bytes); err != nil {
		return nil, err
	}
	h, err := cn.r.Next(wire.Limits{{Type: wire.TypeLoaded, Max: wire.MaxControl}, {Type: wire.TypeFail, Max: wire.MaxFail}})
	if err != nil {
		return nil, err
	}
	if h.Type == wire.TypeFail {
		return nil, cn.loadFailure(h, m)
	}
	var loaded wire.Loaded
	b, err := cn.r.Payload(nil)
	if err == nil {
		err = wire.Unmarshal(b, &loaded)
	}
	if err != nil {
		return nil, err
	}
	entry := &codecache.Entry{}
	if len(loaded.EntryName) != len(entry.Name) || loaded.Entry == 0 || loaded.Entry > wire.MaxEntry {
		return nil, fmt.Errorf("compiled entry of %d bytes under a name of %d", loaded.Entry, len(loaded.EntryName))
	}
	copy(entry.Name[:], loaded.EntryName)
	entry.Code, err = cn.readEntry(loaded.Entry)
	return entry, err
}

// readEntry reads the ENTRY frames of size bytes in all.
func (cn *conn) readEntry(size uint64) ([]byte, error) {
	var code []byte
	for uint64(len(code)) < size {
		h, err := cn.r.Next(wire.Limits{{Type: wire.TypeEntry, Max: wire.MaxChunk}})
		if err != nil {
			return nil, err
		}
		b, err := cn.r.Payload(nil)
		if err != nil {
			return nil, err
		}
		if h.Length == 0 || uint64(len(code)+len(b)) > size {
			return nil, fmt.Errorf("compiled entry does not have the %d bytes announced", size)
		}
		code = append(code, b...)
	}
	return code, nil
}

// loaded reads the answer to the LOAD of a slot.
func (cn *conn) loaded(slot uint32, m *module) error {
	h, err := cn.r.Next(wire.Limits{{Type: wire.TypeLoaded, Max: 0}, {Type: wire.TypeFail, Max: wire.MaxFail}})
	if err != nil {
		return err
	}
	if h.Slot != slot {
		return fmt.Errorf("worker answers for slot %d, it was given %d", h.Slot, slot)
	}
	if h.Type == wire.TypeFail {
		err := cn.loadFailure(h, m)
		if h.Code == wire.KindModule {
			return answerError{err}
		}
		return err
	}
	return nil
}

// loadFailure reads why a process could not load or compile a module.
func (cn *conn) loadFailure(h wire.Header, m *module) error {
	f, err := cn.failure()
	if err != nil {
		return err
	}
	if h.Code == wire.KindModule {
		return moduleError(f, m.source)
	}
	return &StartError{Stage: "load", Err: fmt.Errorf("%s", quote.Line(f.Message))}
}

// moduleError is the exported form of a worker's verdict on a module.
func moduleError(f wire.Failure, m *serialize.Module) error {
	kind := serialize.ModuleErrorKind(f.Module)
	if kind != serialize.MissingExport {
		kind = serialize.Invalid
	}
	return &serialize.ModuleError{Kind: kind, Module: m.Name(), Name: f.Name, Reason: quote.Line(f.Message)}
}
