package wasmworker

import (
	"context"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/wasi"
	"github.com/sandpool/sandpool/internal/wire"
)

const levelInfo = 0

// instantiateHost gives r the modules of guest/ABI.md.
func (s *server) instantiateHost(r wazero.Runtime) error {
	ctx := context.Background()
	var files map[string]api.GoModuleFunction
	if len(s.dirs) > 0 {
		files, _ = engineFunctions(r) // handshake has said that there are none
	}
	if err := wasi.InstantiateFiles(ctx, r, func() *wasi.System { return &s.call.system }, files); err != nil {
		return err
	}
	i32 := api.ValueTypeI32
	b := r.NewHostModuleBuilder(guestabi.ImportModule)
	for name, f := range map[string]struct {
		fn      api.GoModuleFunc
		params  int
		results int
	}{
		"input_read":   {s.inputRead, 3, 1},
		"output_write": {s.outputWrite, 2, 0},
		"fail":         {s.guestFail, 5, 0},
		"log":          {s.guestLog, 3, 0},
		"host_call":    {s.guestHostCall, 4, 1},
		"host_size":    {s.guestHostSize, 0, 1},
		"host_read":    {s.guestHostRead, 3, 1},
		"codec_name":   {s.codecName, 3, 1},
	} {
		params, results := make([]api.ValueType, f.params), make([]api.ValueType, f.results)
		for i := range params {
			params[i] = i32
		}
		for i := range results {
			results[i] = i32
		}
		b.NewFunctionBuilder().WithGoModuleFunction(f.fn, params, results).Export(name)
	}
	_, err := b.Instantiate(ctx)
	return err
}

// inputRead is input_read(pointer, offset, length) -> copied.
func (s *server) inputRead(_ context.Context, m api.Module, stack []uint64) {
	pointer, offset, length := api.DecodeU32(stack[0]), api.DecodeU32(stack[1]), api.DecodeU32(stack[2])
	dst := s.view(m, "input_read", pointer, length)
	s.call.lives()
	stack[0] = api.EncodeU32(s.deliver(&s.call.input, dst, uint64(offset)))
}

// outputWrite is output_write(pointer, length).
func (s *server) outputWrite(_ context.Context, m api.Module, stack []uint64) {
	src := s.view(m, "output_write", api.DecodeU32(stack[0]), api.DecodeU32(stack[1]))
	c := s.call
	c.lives()
	if total := c.output.size + uint64(len(src)); total > c.maxOutput {
		s.end(limitFailure(guestabi.LimitOutput, c.maxOutput, total))
	}
	c.output.add(src)
}

// codecName is codec_name(number, pointer, length) -> size of the name.
func (s *server) codecName(_ context.Context, m api.Module, stack []uint64) {
	number, pointer, length := api.DecodeU32(stack[0]), api.DecodeU32(stack[1]), api.DecodeU32(stack[2])
	dst := s.view(m, "codec_name", pointer, length)
	s.call.lives()
	name := ""
	if names := s.call.slot.Codecs; number >= guestabi.CodecNamed && uint64(number-guestabi.CodecNamed) < uint64(len(names)) {
		name = names[number-guestabi.CodecNamed]
	}
	copy(dst, name)
	stack[0] = api.EncodeU32(uint32(len(name)))
}

// guestFail is fail(code, message, length, stack, length).
func (s *server) guestFail(_ context.Context, m api.Module, stack []uint64) {
	code := api.DecodeU32(stack[0])
	message := s.view(m, "fail", api.DecodeU32(stack[1]), api.DecodeU32(stack[2]))
	trace := s.view(m, "fail", api.DecodeU32(stack[3]), api.DecodeU32(stack[4]))
	if code < guestabi.CodeError || code > guestabi.CodeOutput {
		code = guestabi.CodeError
	}
	message, trace = message[:min(len(message), maxMessage)], trace[:min(len(trace), maxStack)]
	c := s.call
	c.lives()
	dropped := c.output.onHeap()
	c.output.drop()
	c.output = chunks{}
	s.heap.note(int(dropped) + len(message) + len(trace))
	c.failed = guestFailure(code, string(message), string(trace))
}

// guestLog is log(level, pointer, length).
func (s *server) guestLog(_ context.Context, m api.Module, stack []uint64) {
	line := s.view(m, "log", api.DecodeU32(stack[1]), api.DecodeU32(stack[2]))
	s.call.lives()
	s.log(api.DecodeI32(stack[0]), wire.StreamLog, line[:min(len(line), wire.MaxLogLine)])
}

// log hands one line to the host and waits until it has it.
func (s *server) log(level int32, stream uint16, line []byte) {
	c := s.call
	if c.deaf {
		return
	}
	cost, left := uint64(len(line))+wire.LogLineCost, &c.left[stream]
	if cost > *left {
		most := c.slot.logLimits()[stream]
		s.end(limitFailure(logLimitNames[stream], most, most-*left+cost))
	}
	*left -= cost
	s.heap.note(hostCallCost)
	if _, err := s.hostCall(wire.Header{Slot: wire.HostLog, Code: uint32(level), Flags: stream}, line, 0); err != nil {
		s.end(internalFailure(err))
	}
}

// end ends the running call from inside a host function.
func (s *server) end(f *failure) {
	if s.call.abort == nil {
		s.call.abort = f
	}
	panic(errAbort)
}

// view returns guest memory, or traps. The slice is the guest's memory itself:
// copy out of it before the guest runs again.
func (s *server) view(m api.Module, function string, pointer, length uint32) []byte {
	if length == 0 {
		return nil
	}
	if mem := s.linearOf(m); mem != nil {
		if b, ok := mem.Read(pointer, length); ok {
			return b
		}
	}
	panic(trapError("out of bounds memory access in " + function))
}

// linearOf returns a guest's exported memory, or nil. A module without memory has a Memory
// that cannot be asked; the host has refused those whose interface needs one, so ask the
// export.
func (s *server) linearOf(m api.Module) api.Memory {
	if i := s.call.running; i != nil && i.module == m && i.linear != nil {
		return i.linear
	}
	return m.ExportedMemory(exportMemory)
}

const exportMemory = "memory"
