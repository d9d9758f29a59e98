package executor

import (
	"cmp"
	"fmt"
	"time"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/wire"
)

// Limits bound one call. In [Options] they are what a call gets and the most it
// may ask for; in a [Func] they lower that. Zero means the default, a negative
// value no limit beyond what the format itself sets.
type Limits struct {
	// Wall is the time from the moment a worker that has the module is given the
	// call to its answer; a call that takes longer is ended by killing its worker.
	// The default is 30 s. Waiting in the queue does not count, nor does loading the
	// module, which has a limit of its own.
	Wall time.Duration
	// Memory bounds the instance's linear memory, in bytes, rounded down to whole
	// pages of 64 KiB: memory.grow answers −1 beyond it. The default is 256 MiB,
	// the most 4 GiB less one page.
	Memory int64
	// Input bounds the encoded input, in bytes. The default is 1 GiB, the most
	// 4 GiB less 4 KiB.
	Input int64
	// Output bounds the encoded output, in bytes. The default is 256 MiB, the most
	// 4 GiB less 4 KiB. What a guest encodes can take far more memory once decoded:
	// see Decoded.
	Output int64
	// Decoded bounds the memory that the output takes in the host once it is decoded,
	// in bytes, by an upper estimate that is made before anything is allocated: see
	// [serialize.BoundError]. A byte of a hostile guest's CBOR can become some 70 bytes of
	// an any, or a whole element of a slice. The default is 1 GiB. Codecs that cannot
	// estimate are bounded by Output only; raw bytes are not decoded.
	Decoded int64
	// Log bounds what the call's log lines, standard output and standard error
	// take together, in bytes, each line counted with 16 bytes more. The default is
	// 1 MiB.
	Log int64
	// HostCalls bounds how many host functions the call runs, its log lines not
	// counted. The default is 1 000 000.
	HostCalls int64
}

// defaultLimits fill zero fields of Options.Limits.
var defaultLimits = Limits{
	Wall:   30 * time.Second,
	Memory: 256 << 20,
	Input:  1 << 30,
	Output: 256 << 20,
	Log:    1 << 20,

	Decoded:   1 << 30,
	HostCalls: 1_000_000,
}

// mostLimits stand for negative fields. A Wall of 0 here means no timer.
var mostLimits = Limits{
	Memory: 1<<32 - 64<<10,
	Input:  wire.MaxPayload,
	Output: wire.MaxPayload,
	Log:    1 << 40,

	Decoded:   1 << 50,
	HostCalls: 1 << 62,
}

// withDefaults returns l with every field resolved: positive, or for Wall zero
// when there is none.
func (l Limits) withDefaults(base Limits) Limits {
	return Limits{
		Wall:   resolve(l.Wall, base.Wall, mostLimits.Wall),
		Memory: resolve(l.Memory, base.Memory, mostLimits.Memory),
		Input:  resolve(l.Input, base.Input, mostLimits.Input),
		Output: resolve(l.Output, base.Output, mostLimits.Output),
		Log:    resolve(l.Log, base.Log, mostLimits.Log),

		Decoded:   resolve(l.Decoded, base.Decoded, mostLimits.Decoded),
		HostCalls: resolve(l.HostCalls, base.HostCalls, mostLimits.HostCalls),
	}
}

func resolve[T ~int64](v, base, most T) T {
	switch {
	case v < 0:
		return most
	case most > 0:
		return min(cmp.Or(v, base), most)
	default:
		return cmp.Or(v, base)
	}
}

// check reports the first field of the resolved l over the executor's ceiling.
func (l Limits) check(ceiling Limits) error {
	if ceiling.Wall > 0 && (l.Wall == 0 || l.Wall > ceiling.Wall) {
		if l.Wall == 0 {
			return overCeiling("Wall", "no limit", ceiling.Wall)
		}
		return overCeiling("Wall", l.Wall, ceiling.Wall)
	}
	for _, f := range []struct {
		name      string
		asked, is int64
	}{
		{"Memory", l.Memory, ceiling.Memory},
		{"Input", l.Input, ceiling.Input},
		{"Output", l.Output, ceiling.Output},
		{"Log", l.Log, ceiling.Log},
		{"Decoded", l.Decoded, ceiling.Decoded},
		{"HostCalls", l.HostCalls, ceiling.HostCalls},
	} {
		if f.asked > f.is {
			return overCeiling(f.name, f.asked, f.is)
		}
	}
	return nil
}

func overCeiling(field string, asked, ceiling any) error {
	return &OptionError{
		Option: "Func.Limits." + field,
		Reason: fmt.Sprintf("%v is more than the executor's Options.Limits.%s, %v", asked, field, ceiling),
	}
}

// limitError is the exported form of a worker's report.
func limitError(f wire.Failure) error {
	switch f.Limit {
	case guestabi.LimitMemory, guestabi.LimitOutput, guestabi.LimitLog, guestabi.LimitHostCalls:
		return &LimitError{Limit: f.Limit, Max: clamp(f.Max), Used: clamp(f.Used)}
	default:
		return fmt.Errorf("worker reports unknown limit %q", f.Limit)
	}
}
