package wasmworker

import "github.com/sandpool/sandpool/internal/wire"

// initialize runs the slot's initializer in a new instance: one more registered
// function, on an input of its own, whose output nobody asked for. Its log lines
// and its memory are the call's.
func (s *server) initialize(inst *instance, c *call) *failure {
	l := c.slot.Load
	if l.Init == "" {
		return nil
	}
	m := c.slot.module
	if m.index == nil {
		if _, f := s.describe(inst, c); f != nil {
			return f
		}
	}
	c.initializing = true
	index, f := m.functionIndex(l.Init)
	if f != nil {
		return f
	}
	input := c.input
	c.input = inMemory(l.InitInput)
	if f := inst.call(s, c, index, l.InitCodec); f != nil {
		return f
	}
	c.stdout.flush() // or its last line and the call's first would be one
	c.stderr.flush()
	c.forgetOutput(s)
	c.input, c.initializing = input, false
	return nil
}

// forgetOutput drops what a function has left that was not called for its output.
func (c *call) forgetOutput(s *server) {
	dropped := c.output.onHeap()
	c.output.drop()
	c.input, c.output, c.answer = incoming{}, chunks{}, incoming{}
	c.lives()
	s.heap.note(int(dropped))
}

// blame says whose failure f is. What went wrong in the worker itself is nobody's.
func (c *call) blame(f *failure) {
	if f != nil && f.kind != wire.KindInternal {
		f.Init = c.initializing
	}
}
