package wasmworker

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/snapshot"
	"github.com/sandpool/sandpool/internal/wasi"
	"github.com/sandpool/sandpool/internal/wasmbin"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/startmethod"
)

// An instance is a module instantiated for one call, or kept for several.
type instance struct {
	module   api.Module     // nil until that has succeeded
	linear   api.Memory     // that it exports; nil for none
	runtime  wazero.Runtime // its own under Fresh, else nil
	memory   *snapshot.Memory
	restorer *snapshot.Instance // nil when it cannot be restored
	ready    bool               // it has been initialised
	woken    bool               // nothing has put it back since its guest last ran
	streams  wasi.State         // what its guest has done to its standard streams
	elapsed  uint64             // by how much it has moved a fixed clock
	files    *fileSession       // nil without directories
	meters   meters
	invoke   api.Function
	restored api.Function // the guest's hook; nil if it has none
	params   []uint64     // of the call, reused
}

// newInstance returns what will be an instance for a slot's call.
func (s *server) newInstance(sl *slot) *instance {
	c := snapshot.Config{Limit: sl.Memory, Image: sl.module.base, Pages: s.pages}
	if sl.image != nil {
		c.Image = sl.image.memory
	}
	if sl.Layout != nil {
		if c.Max = sl.Layout.MaxPages * wasmPage; c.Max == 0 {
			c.Limit = 0 // no maximum is another thing
		}
	}
	return &instance{memory: snapshot.NewMemory(c)}
}

func (i *instance) close() {
	ctx := context.Background()
	if i.module != nil {
		_ = i.module.Close(ctx)
	}
	if i.runtime != nil {
		_ = i.runtime.Close(ctx)
	}
	i.files.close()
	i.memory.Free()
}

// instantiate makes and initialises an instance as the slot's start method says.
// Whatever comes of it, the instance is to be closed.
func (s *server) instantiate(inst *instance, c *call) *failure {
	sl := c.slot
	runtime, compiled := s.runtime, sl.module.compiled
	if sl.Method == string(startmethod.Fresh) {
		runtime = s.newRuntime(nil)
		inst.runtime = runtime
		var f *failure
		if compiled, f = compileIn(runtime, sl.module.bytes); f != nil {
			return f
		}
	}
	ctx := experimental.WithMemoryAllocator(context.Background(), inst.memory)
	inst.files = s.newFiles(sl)
	c.system.Files = inst.files.exactOf()
	mod, err := runtime.InstantiateModule(ctx, compiled, inst.files.configOf(instanceConfig))
	if err != nil {
		return c.classify(err)
	}
	inst.module, inst.meters = mod, metersOf(mod)
	inst.invoke, inst.linear = mod.ExportedFunction(guestabi.ExportCall), mod.ExportedMemory(exportMemory)
	if f := inst.prepare(sl); f != nil {
		return f
	}
	if sl.image != nil {
		return s.clone(inst, sl.image, c)
	}
	return s.setUp(inst, c)
}

// instanceConfig is that of every instance. What a guest sees of the world is in
// call.system.
var instanceConfig = wazero.NewModuleConfig().
	WithName(""). // or they would collide
	WithStartFunctions().
	WithWalltime(walltime, sys.ClockResolution(time.Microsecond)). // for the times of files
	WithRandSource(rand.Reader)                                    // not asked, but the engine's own is made for each instance: 10 µs and 5 KiB

// prepare looks up what a rewritten module exports for its restorer, and the hook.
func (i *instance) prepare(sl *slot) *failure {
	if sl.Layout != nil {
		var err error
		if i.restorer, err = snapshot.NewInstance(i.module, i.memory, sl.Layout.Globals); err != nil {
			return internalFailure(err)
		}
	}
	i.restored = i.module.ExportedFunction(guestabi.ExportRestored)
	return nil
}

// setUp runs what brings a new instance into the state in which calls find it.
func (s *server) setUp(inst *instance, c *call) *failure {
	names := [2]string{"", guestabi.ExportInit}
	if l := c.slot.Layout; l != nil && l.Start || inst.meters.stop != nil {
		names[0] = wasmbin.StartName
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		if init := inst.module.ExportedFunction(name); init != nil {
			c.enter(s, inst)
			if _, err := init.Call(context.Background()); err != nil {
				return c.classify(err)
			}
		}
	}
	if f := s.initialize(inst, c); f != nil {
		return f
	}
	inst.ready, inst.woken = true, true
	return nil
}

// clone brings a new instance into an image's state.
func (s *server) clone(inst *instance, img *image, c *call) *failure {
	if err := inst.restorer.Apply(&img.state); err != nil {
		return internalFailure(fmt.Errorf("image %d: %w", img.number, err))
	}
	inst.reseed(c.slot)
	inst.streams, inst.elapsed, inst.ready = img.streams, img.elapsed, true
	c.system.State, c.system.Elapsed = inst.streams, inst.elapsed
	return nil
}

// restore brings an instance back into its image's state, and reports whether that
// is where it is.
func (i *instance) restore(sl *slot) bool {
	if err := i.restorer.Restore(&sl.image.state); err != nil {
		return false
	}
	i.reseed(sl)
	i.streams, i.elapsed, i.woken = sl.image.streams, sl.image.elapsed, false
	return true
}

// reseed gives the generators of Go's runtime new seeds.
func (i *instance) reseed(sl *slot) {
	random := fillRandom
	if sl.Seed != 0 {
		random = seeded(sl.Seed, streamRuntime)
	}
	i.restorer.Reseed(&sl.image.state, random)
}

// Streams of a seeded guest's random numbers, which have nothing in common.
const (
	streamGuest   = 1 // what random_get gives
	streamRuntime = 2 // the seeds of restored generators
	streamHook    = 3 // what the guest's hook gets
	streamInit    = 4 // what random_get gives before an image is captured
)

// seeded returns a source of random numbers that repeats itself.
func seeded(seed uint64, stream byte) func([]byte) {
	key := [32]byte{0: stream}
	for i := range 8 {
		key[8+i] = byte(seed >> (8 * i))
	}
	r := mathrand.NewChaCha8(key)
	return func(p []byte) { _, _ = r.Read(p) } // never fails
}

// resume tells the guest that its instance is not new to the world, by the hook
// that it may have. The hook is part of the call: its time is the call's.
func (i *instance) resume(s *server, c *call) *failure {
	if i.woken || i.restored == nil {
		return nil
	}
	i.woken = true
	var seed [8]byte
	if c.slot.Seed != 0 {
		seeded(c.slot.Seed, streamHook)(seed[:])
	} else {
		fillRandom(seed[:])
	}
	var n uint64
	for k, b := range seed {
		n |= uint64(b) << (8 * k)
	}
	input := c.input
	c.input = incoming{}
	c.enter(s, i)
	if _, err := i.restored.Call(context.Background(), n); err != nil {
		return c.classify(err)
	}
	c.input, c.output, c.answer = input, chunks{}, incoming{} // nobody asked for what it has written
	c.lives()
	return c.failed
}

// keep puts an instance back where the slot's next call finds it, or closes it, and
// says which. f is the failure of the call that it has served.
func (s *server) keep(inst *instance, sl *slot, f *failure) (kept bool) {
	k := sl.keeper()
	if k == nil || !inst.ready || f != nil && f.wears() || s.swollen(sl) || !inst.rest(sl, f) {
		inst.close()
		return false
	}
	s.clock++
	k.inst, k.used = inst, s.clock
	s.kept += inst.memory.Opened()
	s.instances++
	return true
}

// swollen reports whether the call that is over may have left its instance a call
// stack of many MiB, which nothing shrinks and only the garbage collector can tell: one
// that was long, and after which much was allocated. A warm instance is kept for what
// its guest has in it.
func (s *server) swollen(sl *slot) bool {
	return sl.warm == nil && s.one.took >= longCall && s.heap.due()
}

// longCall is how long a call takes that is asked what it has allocated, which costs
// a few microseconds. To grow a stack by MiB takes more.
const longCall = time.Millisecond

// rest brings an instance into the state for the next call, if it can be had.
func (i *instance) rest(sl *slot, f *failure) bool {
	if sl.warm == nil {
		return i.restore(sl)
	}
	// The guest's own errors leave a warm instance as its author wants it. After
	// anything else nobody knows how far it got.
	return f == nil || f.kind == wire.KindGuest && f.Guest <= guestabi.CodeOutput && !f.over
}

// wears reports whether a failure leaves behind what no restoring puts right: a
// call stack grown to its limit, hundreds of megabytes, stays with the instance.
func (f *failure) wears() bool {
	return f.worn || f.kind == wire.KindInternal || f.kind == wire.KindModule ||
		f.kind == wire.KindGuest && f.Guest == guestabi.CodeTrap && strings.Contains(f.Message, stackOverflow)
}

// call runs one registered function on the call's input.
func (i *instance) call(s *server, c *call, index, codecs uint32) *failure {
	c.enter(s, i)
	i.params = append(i.params[:0], uint64(index), uint64(uint32(c.input.size)), uint64(codecs))
	if err := i.invoke.CallWithStack(context.Background(), i.params); err != nil {
		return c.classify(err)
	}
	if c.failed == nil && api.DecodeU32(i.params[0]) != 0 {
		return guestFailure(guestabi.CodeError, "the function failed without a reason", "")
	}
	return c.failed
}
