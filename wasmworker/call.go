package wasmworker

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/wasi"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// A call is the one being run: its slot, its bytes and what host functions note
// about it.
type call struct {
	id     uint64
	slot   *slot
	input  []byte
	output chunks
	memory *memory // of the instance

	maxOutput uint64
	logLeft   uint64   // bytes the guest may still log
	answer    []byte   // of the last host_call
	failed    *failure // what the guest said with fail
	abort     *failure // why a host function ended the call
	stdout    *lines
	stderr    *lines
	system    wasi.System

	initializing bool // the initializer runs, or has failed
}

// serveCall runs one call and answers it; the instance is released afterwards,
// out of the caller's way.
func (s *server) serveCall(h wire.Header, input []byte) error {
	sl := s.slots[h.Slot]
	if sl == nil {
		return s.answerFailure(h, internalFailure(fmt.Errorf("call of slot %d, which is not bound", h.Slot)))
	}
	began := time.Now()
	c := s.newCall(h.ID, sl, input)
	s.call = c
	inst := &instance{memory: newMemory(sl.Memory)}
	c.memory = inst.memory
	var err error
	if f := s.runGuarded(inst, h, c); f != nil {
		err = s.answerFailure(h, f.withStderr(c))
	} else {
		err = s.out.Write(wire.Header{
			Type: wire.TypeResult, ID: h.ID, Slot: h.Slot,
			Code: uint32(c.memory.peak / wasmPage), Time: int64(time.Since(began)),
		}, c.output.parts...)
	}
	s.call = nil
	inst.close()
	s.heap.collect()
	return err
}

// readInput reads an input of n bytes. The host is not to be guarded against: the
// buffer is made at once, since growing it would leave garbage that nothing
// collects before the call is over.
func (s *server) readInput(n int) ([]byte, error) {
	buf := s.input
	if cap(buf) < n {
		buf = make([]byte, n)
		if n <= keepBuffer {
			s.input = buf
		}
	}
	return s.r.Payload(buf[:n])
}

// lives notes that the guest runs on: a memory.grow that was refused before is
// not what ends it.
func (c *call) lives() { c.memory.refused = 0 }

func (s *server) newCall(id uint64, sl *slot, input []byte) *call {
	c := &call{id: id, slot: sl, input: input, maxOutput: sl.Output, logLeft: sl.LogBytes}
	c.stdout = &lines{s: s, stream: wire.StreamStdout}
	c.stderr = &lines{s: s, stream: wire.StreamStderr}
	c.system = newSystem(c.stdout, c.stderr)
	return c
}

// runGuarded runs a call and flushes what the guest printed. A panic of the
// engine outside guest code is the worker's failure, told to the host before the
// worker exits.
func (s *server) runGuarded(inst *instance, h wire.Header, c *call) (f *failure) {
	defer func() {
		p := recover()
		if p == errAbort { //nolint:errorlint // the very value that host functions panic with
			f = c.abort
		} else if p != nil && c.memory.refused > 0 {
			// The engine does not expect the first pages to be refused.
			f = limitFailure(guestabi.LimitMemory, c.memory.limit, c.memory.refused)
		} else if p != nil {
			f = internalFailure(fmt.Errorf("engine panicked: %v", p))
		}
		c.blame(f)
	}()
	f = s.instantiate(inst, c)
	if f == nil {
		f = s.runIn(inst, h, c)
	}
	c.stdout.flush()
	c.stderr.flush()
	return f
}

// An instance is a module instantiated for one call.
type instance struct {
	module  api.Module     // nil until that has succeeded
	runtime wazero.Runtime // its own under Fresh, else nil
	memory  *memory
}

func (i *instance) close() {
	ctx := context.Background()
	if i.module != nil {
		_ = i.module.Close(ctx)
	}
	if i.runtime != nil {
		_ = i.runtime.Close(ctx)
	}
	i.memory.Free()
}

// instantiate makes and initialises an instance as the slot's start method says.
// Whatever comes of it, the instance is to be closed.
func (s *server) instantiate(inst *instance, c *call) *failure {
	m := c.slot.module
	runtime, compiled := s.runtime, m.compiled
	if c.slot.Method == string(startmethod.Fresh) {
		runtime = s.newRuntime(nil)
		inst.runtime = runtime
		var f *failure
		if compiled, f = compileIn(runtime, m.bytes); f != nil {
			return f
		}
	}
	ctx := experimental.WithMemoryAllocator(context.Background(), inst.memory)
	mod, err := runtime.InstantiateModule(ctx, compiled, c.config())
	if err != nil {
		return c.classify(err)
	}
	inst.module = mod
	if init := mod.ExportedFunction(guestabi.ExportInit); init != nil {
		if _, err := init.Call(ctx); err != nil {
			return c.classify(err)
		}
	}
	return s.initialize(inst, c)
}

// config is that of an instance. What the guest sees of the world is in c.system.
func (c *call) config() wazero.ModuleConfig {
	return wazero.NewModuleConfig().
		WithName(""). // an instance per call: names would collide
		WithStartFunctions()
}

// runIn runs the call in an instance.
func (s *server) runIn(inst *instance, h wire.Header, c *call) *failure {
	m := c.slot.module
	describing := h.Flags&wire.FlagDescribe != 0
	if describing || m.index == nil {
		text, f := s.describe(inst, c)
		if f != nil {
			return f
		}
		if describing {
			c.output.add(text)
			return nil
		}
	}
	index, f := m.functionIndex(c.slot.Function)
	if f != nil {
		return f
	}
	return s.invoke(inst, c, index, h.Code)
}

// invoke runs one registered function on the call's input.
func (s *server) invoke(inst *instance, c *call, index, codecs uint32) *failure {
	run := inst.module.ExportedFunction(guestabi.ExportCall)
	results, err := run.Call(context.Background(), uint64(index), uint64(uint32(len(c.input))), uint64(codecs))
	if err != nil {
		return c.classify(err)
	}
	if c.failed == nil && api.DecodeU32(results[0]) != 0 {
		return guestFailure(guestabi.CodeError, "the function failed without a reason", "")
	}
	return c.failed
}

// describe calls the guest's describe function, keeps what it learns and returns
// the description's text. The call's own input and output are not touched.
func (s *server) describe(inst *instance, c *call) ([]byte, *failure) {
	input, limit := c.input, c.maxOutput
	defer func() { c.input, c.maxOutput, c.output, c.answer, c.failed = input, limit, chunks{}, nil, nil }()
	c.input, c.maxOutput = nil, wire.MaxDescription
	results, err := inst.module.ExportedFunction(guestabi.ExportDescribe).Call(context.Background())
	if err != nil {
		return nil, c.classify(err)
	}
	if c.failed != nil {
		return nil, c.failed
	}
	if code := api.DecodeU32(results[0]); code != 0 {
		return nil, moduleFailure(serialize.Invalid, guestabi.ExportDescribe, fmt.Sprintf("describe failed with %d", code))
	}
	text := bytes.Join(c.output.parts, nil)
	d, err := guestabi.ParseDescription(text)
	if err != nil {
		return nil, moduleFailure(serialize.Invalid, guestabi.ExportDescribe, err.Error())
	}
	c.slot.module.learn(d)
	return text, nil
}

// withStderr adds what the guest last wrote to its standard error.
func (f *failure) withStderr(c *call) *failure {
	if f.kind == wire.KindGuest {
		f.Stderr = c.stderr.tail()
	}
	return f
}

// listNames names a few functions for an error text.
func listNames(index map[string]uint32) string {
	const most = 100
	if len(index) == 0 {
		return "no functions"
	}
	names := slices.Sorted(maps.Keys(index))
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more", len(names)-most)
		names = names[:most]
	}
	return strings.Join(names, ", ") + more
}
