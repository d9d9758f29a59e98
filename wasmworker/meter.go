package wasmworker

import (
	"encoding/binary"
	"math"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/wasmbin"
	"github.com/sandpool/sandpool/internal/wire"
)

// meters are what an instrumented instance exports for its worker; nil globals where it
// was not instrumented.
type meters struct {
	stop, depth, fuel api.MutableGlobal
}

func metersOf(m api.Module) (g meters) {
	g.stop, _ = m.ExportedGlobal(wasmbin.StopName).(api.MutableGlobal)
	g.depth, _ = m.ExportedGlobal(wasmbin.DepthName).(api.MutableGlobal)
	g.fuel, _ = m.ExportedGlobal(wasmbin.FuelName).(api.MutableGlobal)
	return g
}

// enter is to be called before each entry into an instance's code, which has the whole
// depth and all of the fuel.
func (c *call) enter(s *server, i *instance) {
	c.running = i
	if i.meters.depth != nil {
		i.meters.depth.Set(uint64(c.slot.depth()))
	}
	if i.meters.fuel != nil {
		i.meters.fuel.Set(c.slot.budget())
	}
	if s.dog != nil {
		s.dog.watch(i.meters.stop)
	}
}

// depth is the most functions on the stack.
func (sl *slot) depth() uint32 {
	if sl.Stack == 0 {
		return math.MaxInt32
	}
	return uint32(min(sl.Stack, math.MaxInt32))
}

// budget is the fuel of one entry.
func (sl *slot) budget() uint64 {
	if sl.Fuel == 0 {
		return math.MaxInt64
	}
	return min(sl.Fuel, math.MaxInt64)
}

// burnt is the fuel that the last entry has taken.
func (c *call) burnt() uint64 {
	if c.running == nil || c.running.meters.fuel == nil {
		return 0
	}
	return c.slot.budget() - c.running.meters.fuel.Get() // below zero it wraps round, and back
}

// overdrawn is the failure of an entry that has taken more fuel than there was, or nil.
func (c *call) overdrawn() *failure {
	if c.running == nil || c.running.meters.fuel == nil || int64(c.running.meters.fuel.Get()) >= 0 {
		return nil
	}
	return limitFailure(guestabi.LimitFuel, c.slot.budget(), c.burnt())
}

// stopped is the failure of a call that was ended, or nil.
func (c *call) stopped() *failure {
	if c.dog == nil {
		return nil
	}
	return c.dog.failure(c.slot, c.wall)
}

// metered says which limit a trap was, or nil if it was the guest's own.
func (c *call) metered(trap *failure) *failure {
	if f := c.stopped(); f != nil {
		return f
	}
	i := c.running
	if i == nil || i.meters.depth == nil {
		return nil
	}
	most := uint64(c.slot.depth())
	left := uint32(i.meters.depth.Get())
	switch {
	case left == wasmbin.Stopped:
		return limitFailure(guestabi.LimitStack, most, most+1)
	case strings.Contains(trap.Message, stackOverflow):
		// The engine's own limit, in bytes: the functions are large.
		f := limitFailure(guestabi.LimitStack, most, most-min(most, uint64(left)))
		f.worn = true
		return f
	default:
		return c.overdrawn()
	}
}

// stackOverflow is the engine's own word for a stack of hundreds of megabytes.
const stackOverflow = "stack overflow"

// sleep is what the guest gets for a sleep.
func (s *server) sleep(ns int64) {
	if s.dog.sleep(time.Duration(ns)) {
		s.end(s.call.stopped())
	}
}

// tellUsage says what the call has taken, ahead of its answer, if the host wants to know.
func (s *server) tellUsage(c *call) error {
	if !c.slot.Meter {
		return nil
	}
	var b [wire.UsageSize]byte
	binary.LittleEndian.PutUint64(b[0:], uint64(processTime()-c.cpuBegan))
	binary.LittleEndian.PutUint64(b[8:], c.burnt())
	return s.out.Write(wire.Header{Type: wire.TypeUsage, ID: c.id}, b[:])
}

// watch has the watchdog see to a call that begins at now.
func (s *server) watch(c *call, now time.Time, wall time.Duration) {
	c.wall = wall
	if c.slot.Meter {
		c.cpuBegan = processTime()
	}
	if s.dog != nil {
		s.dog.begin(c.id, now, wall, time.Duration(c.slot.CPU))
	}
}

// unwatch is the end of that.
func (s *server) unwatch() {
	if s.dog != nil {
		s.dog.end()
	}
}

// stoppedByHost is the failure of a call whose host function the host does not wait for
// any more.
func (c *call) stoppedByHost() *failure {
	if f := c.stopped(); f != nil {
		return f
	}
	return &failure{kind: wire.KindStopped}
}
