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
	// call to its answer; see Options.Interrupt for how a call that takes longer is ended.
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
	// Log bounds what the call's log lines take together, in bytes, each counted with
	// 16 bytes more. The default is 1 MiB.
	Log int64
	// CPU is the processor time that the worker's process uses from the moment that it
	// begins the call to its answer. A guest that sleeps or waits for a host function uses none. Zero means
	// that only Wall bounds it, which one that is not lower does as well. Ignored where
	// the call cannot be ended but by killing the worker, see [Usage.KillOnly].
	CPU time.Duration
	// Stack is how many functions that call others may be on the guest's stack at a
	// time; tail calls add none. The default is 10 000. Where functions are large the
	// engine's own limit of 400 MB may come first, with the same error. It is that limit
	// alone, and a trap, where the code is not instrumented, see [Usage.KillOnly].
	Stack int64
	// Fuel is how much a call may execute: one unit for each instruction but end and
	// else, 64 for memory.grow, and for bulk operations one more for each 16 bytes or each
	// element. The count is the same at each run and on each machine for the same input,
	// of a guest that asks for no time and no random numbers. The guest is stopped when it next
	// enters a loop or a function that calls others. It is the function's own code that counts;
	// whatever sets its instance up may take as much again. Zero, the default, and negative values
	// mean no limit, and faster code: see [Func.Meter].
	Fuel int64
	// Stdout and Stderr bound what the call prints, in bytes, each line counted with
	// 16 bytes more. The default is 1 MiB each.
	Stdout, Stderr int64
	// HostCalls bounds how many host functions the call runs, its log lines not
	// counted. The default is 1 000 000.
	HostCalls int64
	// FileSize bounds how large the call may make a file of the directories of
	// [Grants.Dirs], in bytes. What would reach beyond it is not done and the guest gets EFBIG,
	// which is its own to deal with: there is no *LimitError. The default is 1 GiB.
	FileSize int64
}

// defaultLimits fill zero fields of Options.Limits.
var defaultLimits = Limits{
	Wall:   30 * time.Second,
	Memory: 256 << 20,
	Input:  1 << 30,
	Output: 256 << 20,
	Log:    1 << 20,
	Stack:  10_000,
	Stdout: 1 << 20,
	Stderr: 1 << 20,

	Decoded:   1 << 30,
	HostCalls: 1_000_000,
	FileSize:  1 << 30,
}

// mostLimits stand for negative fields. A Wall of 0 here means no timer.
var mostLimits = Limits{
	Memory: 1<<32 - 64<<10,
	Input:  wire.MaxPayload,
	Output: wire.MaxPayload,
	Log:    1 << 40,
	Stack:  1<<31 - 1,
	Stdout: 1 << 40,
	Stderr: 1 << 40,

	Decoded:   1 << 50,
	HostCalls: 1 << 62,
	FileSize:  1 << 62,
}

// withDefaults returns l with every field resolved: positive, or for Wall, CPU and Fuel
// zero when there is none.
func (l Limits) withDefaults(base Limits) Limits {
	return Limits{
		Wall:   resolve(l.Wall, base.Wall, mostLimits.Wall),
		Memory: resolve(l.Memory, base.Memory, mostLimits.Memory),
		Input:  resolve(l.Input, base.Input, mostLimits.Input),
		Output: resolve(l.Output, base.Output, mostLimits.Output),
		Log:    resolve(l.Log, base.Log, mostLimits.Log),
		CPU:    resolve(l.CPU, base.CPU, mostLimits.CPU),
		Stack:  resolve(l.Stack, base.Stack, mostLimits.Stack),
		Fuel:   resolve(l.Fuel, base.Fuel, mostLimits.Fuel),
		Stdout: resolve(l.Stdout, base.Stdout, mostLimits.Stdout),
		Stderr: resolve(l.Stderr, base.Stderr, mostLimits.Stderr),

		Decoded:   resolve(l.Decoded, base.Decoded, mostLimits.Decoded),
		HostCalls: resolve(l.HostCalls, base.HostCalls, mostLimits.HostCalls),
		FileSize:  resolve(l.FileSize, base.FileSize, mostLimits.FileSize),
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
	if err := checkOptional("Wall", l.Wall, ceiling.Wall); err != nil {
		return err
	}
	if err := checkOptional("CPU", l.CPU, ceiling.CPU); err != nil {
		return err
	}
	if err := checkOptional("Fuel", l.Fuel, ceiling.Fuel); err != nil {
		return err
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
		{"FileSize", l.FileSize, ceiling.FileSize},
		{"Stack", l.Stack, ceiling.Stack},
		{"Stdout", l.Stdout, ceiling.Stdout},
		{"Stderr", l.Stderr, ceiling.Stderr},
	} {
		if f.asked > f.is {
			return overCeiling(f.name, f.asked, f.is)
		}
	}
	return nil
}

// checkOptional checks a field whose zero means that there is no limit.
func checkOptional[T ~int64](name string, asked, ceiling T) error {
	switch {
	case ceiling == 0 || asked > 0 && asked <= ceiling:
		return nil
	case asked == 0:
		return overCeiling(name, "no limit", ceiling)
	default:
		return overCeiling(name, asked, ceiling)
	}
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
	case guestabi.LimitMemory, guestabi.LimitOutput, guestabi.LimitLog, guestabi.LimitWall, guestabi.LimitCPU,
		guestabi.LimitStack, guestabi.LimitFuel, guestabi.LimitStdout, guestabi.LimitHostCalls, guestabi.LimitStderr:
		return &LimitError{Limit: f.Limit, Max: clamp(f.Max), Used: clamp(f.Used)}
	default:
		return fmt.Errorf("worker reports unknown limit %q", f.Limit)
	}
}
