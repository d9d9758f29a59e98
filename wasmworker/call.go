package wasmworker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/snapshot"
	"github.com/sandpool/sandpool/internal/wasi"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/serialize"
)

// A call is the one being run: its slot, its bytes and what host functions note
// about it.
type call struct {
	id     uint64
	slot   *slot
	input  incoming
	output chunks
	memory *snapshot.Memory // of the instance

	maxOutput uint64
	left      [streams]uint64 // bytes the guest may still log and print, by stream
	hostLeft  uint64          // host functions it may still run
	answer    incoming        // of the last host_call
	failed    *failure        // what the guest said with fail
	abort     *failure        // why a host function ended the call
	stdout    *lines
	stderr    *lines
	system    wasi.System
	stdin     []byte   // the guest's, once it is initialised
	pipes     *[2]pipe // standard output and error of a command; nil for functions

	initializing bool          // the initializer runs, or has failed
	deaf         bool          // nothing that the guest says or asks for reaches the host
	took         time.Duration // until the answer

	dog      *watchdog     // nil for none
	wall     time.Duration // limit; 0 for none
	running  *instance     // whose code was entered last
	cpuBegan time.Duration // of the process, when the call began, if it is asked for
}

// serveCall runs one call and answers it; the instance is released afterwards,
// out of the caller's way.
func (s *server) serveCall(h wire.Header, input incoming) error {
	sl := s.slots[h.Slot]
	if sl == nil {
		return s.answerFailure(h, internalFailure(fmt.Errorf("call of slot %d, which is not bound", h.Slot)))
	}
	began := time.Now()
	c := s.newCall(h.ID, sl, input)
	if err := s.dress(c, h); err != nil {
		return err
	}
	s.call = c
	s.watch(c, began, time.Duration(h.Time))
	inst := s.take(sl)
	reused := inst != nil
	if s.keepsTooMuch() {
		s.makeRoom()
	}
	if !reused {
		inst = s.newInstance(sl)
	}
	c.memory, c.system.State, c.system.Elapsed = inst.memory, inst.streams, inst.elapsed
	inst.memory.ResetPeak()
	c.lives() // what a warm instance was refused in an earlier call
	f := s.denied(inst, s.runGuarded(inst, h, c))
	c.took = time.Since(began)
	s.unwatch()
	err := s.tellUsage(c)
	if err != nil {
		return err
	}
	if f != nil {
		err = s.answerFailure(h, f.withStderr(c))
	} else {
		err = s.reply(wire.Header{
			Type: wire.TypeResult, ID: h.ID, Slot: h.Slot,
			Code: uint32(c.memory.Peak() / wasmPage), Time: int64(c.took),
		}, &c.output, h.Flags&wire.FlagMore != 0)
	}
	inst.streams, inst.elapsed = c.system.State, c.system.Elapsed
	kept := s.keep(inst, sl, f)
	s.call = nil
	s.tidy(reused && kept && f == nil && c.took < longCall)
	if kept && err == nil {
		err = s.audit.look(inst, sl)
	}
	return err
}

// denied returns f, or what it is instead: an instance whose first memory is refused
// below its limit, in a process that keeps others, lacks what those have taken. No call
// in this process would fare better.
func (s *server) denied(inst *instance, f *failure) *failure {
	m := inst.memory
	if f == nil || s.instances == 0 || m.Peak() > 0 || m.Refused() == 0 || m.Refused() > m.Limit() {
		return f
	}
	return internalFailure(fmt.Errorf("no memory is left for an instance beside the %d that are kept", s.instances))
}

// tidy sees to the garbage of the call that is over. Most of that is instances, and
// stacks that grew. small says that there is none of either: to ask how much there is
// would cost more than a small call does.
func (s *server) tidy(small bool) {
	c := &s.one
	left := 2*c.printed() + c.input.onHeap() + c.output.onHeap() + uint64(len(c.stdin))
	if c.pipes != nil {
		left += c.pipes[0].data.size + c.pipes[1].data.size
		c.output.parts, c.system, c.pipes = nil, wasi.System{}, nil
	}
	c.input, c.stdin, c.system.Stdin = incoming{}, nil, nil
	c.output.reset()
	if small {
		s.heap.served(left)
	} else {
		s.heap.collect()
	}
}

// splitInput takes a CALL's payload apart into standard input, if the call has one,
// and input.
func splitInput(h wire.Header, payload []byte) (stdin, input []byte, err error) {
	if h.Flags&wire.FlagStdin == 0 {
		return nil, payload, nil
	}
	const prefix = 4
	if len(payload) < prefix {
		return nil, nil, fmt.Errorf("a CALL with standard input has %d bytes", len(payload))
	}
	n, rest := binary.LittleEndian.Uint32(payload), payload[prefix:]
	if uint64(n) > uint64(len(rest)) {
		return nil, nil, fmt.Errorf("standard input of %d bytes in a CALL of %d", n, len(payload))
	}
	return rest[:n:n], rest[n:], nil
}

// lives notes that the guest runs on: a memory.grow that was refused before is
// not what ends it.
func (c *call) lives() { c.memory.Lives() }

// newCall returns the call to be run. There is one at a time, and it is the same
// memory each time: nothing collects garbage while guests run.
func (s *server) newCall(id uint64, sl *slot, input incoming) *call {
	c := &s.one
	if c.stdout == nil {
		c.stdout = &lines{s: s, stream: wire.StreamStdout}
		c.stderr = &lines{s: s, stream: wire.StreamStderr}
	}
	c.stdout.reset()
	c.stderr.reset()
	c.output.reset()
	*c = call{
		id: id, slot: sl, input: input, maxOutput: sl.Output, left: sl.logLimits(), hostLeft: sl.HostCalls,
		output: c.output, answer: inMemory(c.answer.bytes[:0]), stdout: c.stdout, stderr: c.stderr,
		dog: s.dog,
	}
	if cap(c.answer.bytes) > keepBuffer {
		c.answer = incoming{}
	}
	c.system = newSystem(c.stdout, c.stderr)
	c.system.Args, c.system.Env, c.system.Clock = sl.Args, sl.Env, sl.clock()
	if s.dog != nil {
		c.system.Sleep = s.sleep
	}
	if sl.Seed != 0 {
		c.system.Random = seeded(sl.Seed, streamGuest)
	}
	return c
}

// runGuarded runs a call and flushes what the guest printed.
func (s *server) runGuarded(inst *instance, h wire.Header, c *call) *failure {
	return c.guard(func() (f *failure) {
		known := c.slot.module.index != nil
		if !inst.ready {
			f = s.instantiate(inst, c)
		}
		if f == nil && !known && c.pipes == nil && h.Flags&wire.FlagDescribe == 0 {
			f = s.learn(inst, c)
		}
		if f == nil {
			f = inst.resume(s, c)
		}
		if f == nil {
			c.system.Stdin = c.stdin // it is the call's: initialisation finds it at its end
			f = s.runIn(inst, h, c)
		}
		c.stdout.flush()
		c.stderr.flush()
		return f
	})
}

// guard runs what may run a guest. A panic of the engine outside guest code is the
// worker's failure, told to the host before the worker exits.
func (c *call) guard(run func() *failure) (f *failure) {
	defer func() {
		p := recover()
		if p == errAbort && c.abort != nil { //nolint:errorlint // the very value that host functions panic with
			f = c.abort
		} else if p != nil && c.memory.Refused() > 0 {
			// The engine does not expect the first pages to be refused.
			f = limitFailure(guestabi.LimitMemory, c.memory.Limit(), c.memory.Refused())
		} else if p != nil {
			f = internalFailure(fmt.Errorf("engine panicked: %v", p))
		}
		c.blame(f)
	}()
	return run()
}

// runIn runs the call in an instance.
func (s *server) runIn(inst *instance, h wire.Header, c *call) *failure {
	if c.pipes != nil {
		return s.runCommand(inst, c)
	}
	if h.Flags&wire.FlagDescribe != 0 {
		text, f := s.describe(inst, c)
		if f == nil {
			c.output.add(text)
		}
		return f
	}
	index, f := c.slot.module.functionIndex(c.slot.Function)
	if f != nil {
		return f
	}
	if s.ring != nil {
		c.output.s = s
	}
	if f := inst.call(s, c, index, h.Code); f != nil {
		return f
	}
	return c.overdrawn()
}

// learn has a guest describe itself that this process has not heard of yet, and then
// gives the call an instance that has not: a guest may draw random numbers for it, for one
// thing. One without an image and without a seed is left as it is, and no guest's calls may
// depend on it.
func (s *server) learn(inst *instance, c *call) *failure {
	if c.slot.module.index == nil {
		if _, f := s.describe(inst, c); f != nil {
			return f
		}
	}
	if c.slot.Seed != 0 {
		c.system.Random = seeded(c.slot.Seed, streamGuest)
	}
	switch {
	case c.slot.image != nil:
		if !inst.restore(c.slot) {
			return internalFailure(errors.New("the instance cannot be put back"))
		}
		c.system.State, c.system.Elapsed = inst.streams, inst.elapsed
	case c.slot.Seed != 0:
		inst.close()
		*inst = *s.newInstance(c.slot)
		c.memory = inst.memory
		if f := s.instantiate(inst, c); f != nil {
			return f
		}
	}
	c.lives()
	return nil
}

// describe calls the guest's describe function, keeps what it learns and returns
// the description's text. The call's own input and output are not touched.
func (s *server) describe(inst *instance, c *call) ([]byte, *failure) {
	input, limit := c.input, c.maxOutput
	defer func() {
		c.input, c.maxOutput, c.output, c.answer, c.failed = input, limit, chunks{}, incoming{}, nil
	}()
	c.input, c.maxOutput = incoming{}, wire.MaxDescription
	c.enter(s, inst)
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
	text := c.output.text()
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
