package executor

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/quote"
)

// States of an executor, as errors.
var (
	// ErrShutdown is the error of calls that come after Shutdown or Close, and of
	// those that Close ends.
	ErrShutdown = errors.New("executor: shut down")

	// ErrQueueFull is the error of calls for which Options.MaxPending or
	// TenantPending leaves no room.
	ErrQueueFull = errors.New("executor: queue full")

	// ErrMaxDepth is the error of calls that nest deeper than Options.MaxDepth.
	ErrMaxDepth = errors.New("executor: calls nest too deep")

	// ErrBroken is wrapped by the error of every call of an executor that is broken:
	// by the death of a worker under [Break], or by a panic in the executor itself.
	// Close it and make another; a [Reusable] does so by itself.
	ErrBroken = errors.New("executor: broken")

	// ErrNoWorkerHook is New's error in a program that cannot be its own worker,
	// where starting one would run the program's main again instead.
	ErrNoWorkerHook = errors.New("executor: this program has no worker hook: call wasmworker.Main() first in main, " +
		"and in TestMain for tests; or import _ \"github.com/sandpool/sandpool/wasmworker/auto\"; or set Options.WorkerPath")
)

// A Code says how a guest failed. Codes are stable numbers from 1.
type Code uint32

// The codes of a [GuestError].
const (
	CodeError  = Code(guestabi.CodeError)  // the function returned an error: Message is its text
	CodeInput  = Code(guestabi.CodeInput)  // the input does not fit the function's type
	CodePanic  = Code(guestabi.CodePanic)  // the function panicked: Message is the value, Stack the guest language's own
	CodeOutput = Code(guestabi.CodeOutput) // the function's result cannot be encoded
	CodeTrap   = Code(guestabi.CodeTrap)   // the WebAssembly machine stopped the guest: Message is the reason, Stack its functions
	CodeExit   = Code(guestabi.CodeExit)   // the guest ended itself with ExitCode
)

// String returns the code's name.
func (c Code) String() string {
	switch c {
	case CodeError:
		return "error"
	case CodeInput:
		return "bad input"
	case CodePanic:
		return "panic"
	case CodeOutput:
		return "bad output"
	case CodeTrap:
		return "trap"
	case CodeExit:
		return "exit"
	default:
		return "code " + strconv.FormatUint(uint64(c), 10)
	}
}

// A GuestError reports a call that failed inside the guest. The worker lives on
// and no other call is affected. All texts are the guest's own, valid UTF-8 and
// bounded: Message by 64 KiB, Stack by 256 KiB, Stderr by the last 4 KiB.
type GuestError struct {
	Func     string // the function's name
	Code     Code
	Message  string
	ExitCode uint32 // of CodeExit
	Stack    string // of CodePanic and CodeTrap
	Stderr   string // what the guest last wrote to its standard error
}

// Error returns one line; control characters of the guest's text are
// escaped. For a trap or exit it ends with the telling line of Stderr: a Go
// guest's runtime prints why it gave up and then traps.
func (e *GuestError) Error() string {
	s := fmt.Sprintf("function %s: %s: %s", e.Func, e.Code, quote.Line(e.Message))
	if e.Code == CodeTrap || e.Code == CodeExit {
		if line := tellingLine(e.Stderr); line != "" {
			s += ": " + line
		}
	}
	return s
}

// Is reports whether target is a GuestError with the same Code, and the same Func
// if it names one.
func (e *GuestError) Is(target error) bool {
	t, ok := target.(*GuestError)
	return ok && t.Code == e.Code && (t.Func == "" || t.Func == e.Func)
}

// A WorkerError reports a worker process that died, or broke the protocol and was
// killed, holding the call. Only this call is affected; the worker is replaced.
type WorkerError struct {
	PID      int
	Signal   string // "SIGKILL" and the like when a signal ended it, else empty
	ExitCode int    // the exit code; -1 when a signal ended it
	Attempts int    // how many workers have begun the call, this one included
	Stderr   string // the first and last 2 KiB of the process's standard error
	Err      error  // what the host saw; io.EOF for a plain death

	// Reason is who ended it, where that is known: [ReasonSeccomp] or [ReasonMemory],
	// else empty.
	Reason string
}

// Reasons of a [WorkerError].
const (
	// ReasonSeccomp: the process made a system call that no worker makes, and was
	// killed for it. Something in it had left its WebAssembly machine.
	ReasonSeccomp = "forbidden system call (seccomp)"
	// ReasonMemory: it was killed because its control group had no memory left.
	ReasonMemory = "out of memory (cgroup)"
)

// Error names the signal or exit code and the worker's last words.
func (e *WorkerError) Error() string {
	s := fmt.Sprintf("worker process %d ", e.PID)
	switch {
	case e.Err != nil && !isEnd(e.Err) && !errors.Is(e.Err, errIdleDeath):
		s += "was given up: " + e.Err.Error()
	case e.Signal != "":
		s += "was killed by " + e.Signal
	default:
		s += "exited with code " + strconv.Itoa(e.ExitCode)
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.Attempts > 1 {
		s += fmt.Sprintf(" (attempt %d)", e.Attempts)
	}
	if last := tellingLine(e.Stderr); last != "" {
		s += ": " + last
	}
	return s
}

// Unwrap returns what the host saw.
func (e *WorkerError) Unwrap() error { return e.Err }

// LimitNested is the limit of a LimitError about nested calls: how many one call and
// all below it may submit.
const LimitNested = "nested calls"

// LimitDecoded is the limit of a LimitError about an output that would take too much
// memory once decoded: Used is what it takes at least, by estimate.
const LimitDecoded = "decoded"

// LimitHostCalls is the limit of a LimitError about Limits.HostCalls.
const LimitHostCalls = guestabi.LimitHostCalls

// A LimitError reports a limit that a call reached. Max and Used are nanoseconds for
// "wall" and "cpu", functions for "stack", units for "fuel", calls for "nested calls" and
// "hostcalls", and bytes otherwise.
type LimitError struct {
	// Limit is "wall", "cpu", "memory", "stack", "fuel", "input", "output", "log", "stdout",
	// "stderr", LimitDecoded, LimitHostCalls or LimitNested.
	Limit string
	Max   int64
	Used  int64 // at least what was asked for when the limit stopped it
}

// Error names the limit and both amounts.
func (e *LimitError) Error() string {
	if e.Limit == guestabi.LimitWall || e.Limit == guestabi.LimitCPU {
		return fmt.Sprintf("limit %s exceeded: %v of %v", e.Limit, time.Duration(e.Used), time.Duration(e.Max))
	}
	switch e.Limit {
	case LimitNested, LimitHostCalls, guestabi.LimitStack, guestabi.LimitFuel:
		return fmt.Sprintf("limit %s exceeded: %d of %d", e.Limit, e.Used, e.Max)
	}
	return fmt.Sprintf("limit %s exceeded: %d of %d bytes", e.Limit, e.Used, e.Max)
}

// Is reports whether target is a LimitError of the same Limit.
func (e *LimitError) Is(target error) bool {
	t, ok := target.(*LimitError)
	return ok && t.Limit == e.Limit
}

// A StartError reports that a worker could not be started or could not load a
// module.
type StartError struct {
	Stage  string // "launch", "sandbox" for one that [Strict] refuses, "handshake", "idle" for a worker that ended before its first call, "load", "compile", "capture", "initializer", or "directories" for one that could not open those of its calls
	Stderr string // the first and last 2 KiB of the process's standard error
	Err    error
}

// Error names the stage, the reason and the process's last words.
func (e *StartError) Error() string {
	s := fmt.Sprintf("start worker: %s: %v", e.Stage, e.Err)
	if e.Stage == stageInitializer {
		s = fmt.Sprintf("initializer: %v", e.Err)
	}
	if last := tellingLine(e.Stderr); last != "" {
		s += ": " + last
	}
	return s
}

// Unwrap returns the reason.
func (e *StartError) Unwrap() error { return e.Err }

// An OptionError reports an option, or a field of a Func, with a value that makes
// no sense.
type OptionError struct {
	Option string // "Options.Workers" and the like
	Reason string
}

// Error names the option first.
func (e *OptionError) Error() string { return e.Option + ": " + e.Reason }

// tellingLine returns the line in which a Go runtime says why it gave up, or else
// the last one.
func tellingLine(stderr string) string {
	for line := range strings.Lines(stderr) {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") || strings.HasPrefix(line, "SIG") {
			return quote.Line(strings.TrimSpace(line))
		}
	}
	return lastLine(stderr)
}

// lastLine returns the last line of a process's output that has text.
func lastLine(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.LastIndexByte(s, '\n'); i >= 0 {
		s = s[i+1:]
	}
	return quote.Line(s)
}

// clamp turns a worker's unsigned number into a field of ours.
func clamp(u uint64) int64 { return int64(min(u, math.MaxInt64)) }
