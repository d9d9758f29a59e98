package wasmworker

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tetratelabs/wazero/sys"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/serialize"
)

// Bounds of a failure's texts, in bytes; longer ones are cut.
const (
	maxMessage = 64 << 10
	maxStack   = 256 << 10
	maxStderr  = 4 << 10
)

// A failure is why a load or a call gave no result.
type failure struct {
	wire.Failure

	kind uint32
	worn bool // it leaves the instance a call stack of hundreds of megabytes
	over bool // the guest has ended in the middle of something: an instance that is kept warm is not
}

// cut bounds the texts, which guests choose.
func (f *failure) cut() {
	f.Message = text(f.Message, maxMessage)
	f.Stack = text(f.Stack, maxStack)
	f.Stderr = text(f.Stderr, maxStderr)
}

// text makes s valid UTF-8 of at most limit bytes. Replacing an invalid byte takes
// three, so the cut comes last.
func text(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

func guestFailure(code uint32, message, stack string) *failure {
	return &failure{kind: wire.KindGuest, Failure: wire.Failure{Guest: code, Message: message, Stack: stack}}
}

func limitFailure(name string, most, used uint64) *failure {
	return &failure{kind: wire.KindLimit, Failure: wire.Failure{Limit: name, Max: most, Used: used}}
}

func moduleFailure(kind serialize.ModuleErrorKind, name, message string) *failure {
	return &failure{kind: wire.KindModule, Failure: wire.Failure{Module: uint32(kind), Name: name, Message: message}}
}

// internalFailure is the worker's own fault, or the engine's; the worker answers
// it and exits, since it no longer knows its state.
func internalFailure(err error) *failure {
	return &failure{kind: wire.KindInternal, Failure: wire.Failure{Message: err.Error()}}
}

// errAbort unwinds a guest from inside a host function. The reason is in
// [call.abort].
var errAbort = errors.New("call ended by its worker")

// A trapError is a trap raised by a host function: a pointer outside memory.
type trapError string

// Error returns the trap's text.
func (e trapError) Error() string { return string(e) }

const stackMark = "\nwasm stack trace:\n\t"

// classify says what err, from running guest code, means. c has what host
// functions noted meanwhile.
func (c *call) classify(err error) *failure {
	if c.abort != nil {
		return c.abort
	}
	f := c.classifyGuest(err)
	if f.kind == wire.KindGuest && f.Guest == guestabi.CodeTrap {
		if limit := c.metered(f); limit != nil {
			return limit
		}
	}
	if f.kind == wire.KindGuest && f.Guest == guestabi.CodeTrap && c.memory.Refused() > 0 {
		// The guest was told −1 and did not survive it.
		return limitFailure(guestabi.LimitMemory, c.memory.Limit(), c.memory.Refused())
	}
	if f.kind == wire.KindGuest && c.failed != nil {
		said := *c.failed
		said.over, said.worn = true, f.wears()
		return &said
	}
	return f
}

func (c *call) classifyGuest(err error) *failure {
	var (
		exit *sys.ExitError
		trap trapError
	)
	if errors.As(err, &exit) {
		// The code is the guest's to choose: 0xffffffff is no cancellation.
		code := exit.ExitCode()
		f := guestFailure(guestabi.CodeExit, fmt.Sprintf("exit status %d", code), "")
		f.Exit = code
		return f
	}
	reason, stack, _ := strings.Cut(err.Error(), stackMark)
	stack = strings.ReplaceAll(stack, "\n\t", "\n")
	if errors.As(err, &trap) {
		return guestFailure(guestabi.CodeTrap, string(trap), stack)
	}
	if _, what, ok := strings.Cut(reason, "wasm error: "); ok {
		return guestFailure(guestabi.CodeTrap, what, stack)
	}
	if strings.HasSuffix(reason, " (recovered by wazero)") {
		return internalFailure(fmt.Errorf("engine failure: %w", err))
	}
	return guestFailure(guestabi.CodeTrap, reason, stack)
}
