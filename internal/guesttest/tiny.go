package guesttest

import (
	"fmt"
	"strings"
)

const (
	abiModule  = "sandpool_v1"
	wasiModule = "wasi_snapshot_preview1"

	pageSize = 64 << 10

	// A tiny guest's memory is one page: a buffer, then its constants.
	bufferSize = 32 << 10
	textAt     = bufferSize
)

var (
	sigNone   = Sig(nil)
	sigAnswer = Sig(nil, I32)
	sigRead   = Sig([]ValueType{I32, I32, I32}, I32) // input_read and sandpool_v1_call
	sigWrite  = Sig([]ValueType{I32, I32})
	sigFail   = Sig([]ValueType{I32, I32, I32, I32, I32})
	sigLog    = Sig([]ValueType{I32, I32, I32})
	sigExit   = Sig([]ValueType{I32})
	sigHost   = Sig([]ValueType{I32, I32, I32, I32}, I32)
)

// The parameters of sandpool_v1_call, as locals. Further locals follow.
const (
	paramFunction = iota
	paramSize
	paramCodecs
	firstLocal
)

// A Tiny is a module under construction that implements the guest interface
// with one function. The functions it imports are set.
type Tiny struct {
	Module
	Read, Write, Fail, Log uint32

	before Code   // of the description: what describing runs first
	text   []byte // constants at textAt
}

// NewTiny begins a guest: the four imports, and nothing else yet, so that
// further imports can follow.
func NewTiny() *Tiny {
	t := new(Tiny)
	t.Read = t.Import(abiModule, "input_read", sigRead)
	t.Write = t.Import(abiModule, "output_write", sigWrite)
	t.Fail = t.Import(abiModule, "fail", sigFail)
	t.Log = t.Import(abiModule, "log", sigLog)
	return t
}

// Host is the three imports with which a guest calls its host's functions.
type Host struct{ Call, Size, Read uint32 }

// ImportHost adds them.
func (t *Tiny) ImportHost() Host {
	return Host{
		Call: t.Import(abiModule, "host_call", sigHost),
		Size: t.Import(abiModule, "host_size", sigAnswer),
		Read: t.Import(abiModule, "host_read", sigRead),
	}
}

// Text puts a constant into memory and returns code that pushes its address
// and its length.
func (t *Tiny) Text(s string) *Code {
	at := textAt + len(t.text)
	t.text = append(t.text, s...)
	return new(Code).I32(int32(at)).I32(int32(len(s)))
}

// Finish adds the two exports and a memory, and returns the module. The body
// of the call has the parameters as locals 0 to 2 and then the given locals.
func (t *Tiny) Finish(name string, memory [2]uint32, locals []ValueType, body *Code) []byte {
	return t.finish([]string{name}, memory, locals, body)
}

// finish is Finish for several functions, which the body tells apart.
func (t *Tiny) finish(names []string, memory [2]uint32, locals []ValueType, body *Code) []byte {
	functions := make([]string, len(names))
	for i, name := range names {
		functions[i] = fmt.Sprintf(`{"name":%q,"in":"bytes","out":"bytes"}`, name)
	}
	about := t.Text(`{"sdk":"tiny","functions":[` + strings.Join(functions, ",") + `]}`)
	describe := t.Func(sigAnswer, nil, new(Code).Append(&t.before).Append(about).Call(t.Write).I32(0))
	call := t.Func(sigRead, locals, body)
	t.Memory(memory[0], memory[1])
	t.Data(textAt, t.text)
	t.Export("sandpool_v1_describe", describe)
	t.Export("sandpool_v1_call", call)
	return t.Bytes()
}

// onePage is the memory of a guest that needs no more.
var onePage = [2]uint32{1, 1}

// TinyEcho returns the guest of ABI.md: its output is its input.
func TinyEcho() []byte { return tinyEcho("echo", 0) }

// TinyDescribed is TinyEcho for a guest that logs each time it is asked to describe itself.
func TinyDescribed() []byte {
	t := NewTiny()
	t.before.I32(0).Append(t.Text("described")).Call(t.Log)
	return tinyEchoOf(t, "echo", 0)
}

// TinyUnfit is TinyEcho for a guest that cannot be restored, as its code changes a table: as it
// describes itself.
func TinyUnfit() []byte {
	t := NewTiny()
	table := t.Table(1, 1)
	t.before.I32(0).Raw(0xd0, 0x70).TableSet(table) // ref.null func
	return tinyEchoOf(t, "echo", 0)
}

// TinyAsking is TinyEcho for a guest that calls a host function, with nothing, each time it is asked
// to describe itself, and traps if that fails.
func TinyAsking(name string) []byte {
	t := NewTiny()
	h := t.ImportHost()
	t.before.Append(t.Text(name)).I32(0).I32(0).Call(h.Call).If().Unreachable().End()
	return tinyEchoOf(t, "echo", 0)
}

// TinyLateEcho is TinyEcho for a guest that counts to turns before it reads its input.
func TinyLateEcho(turns int32) []byte { return tinyEcho("late", turns) }

func tinyEcho(name string, turns int32) []byte { return tinyEchoOf(NewTiny(), name, turns) }

func tinyEchoOf(t *Tiny, name string, turns int32) []byte {
	const at, n = firstLocal, firstLocal + 1
	body := new(Code).
		// if function != 0 || codecs != 0 { fail(2, …); return 1 }
		Get(paramFunction).Get(paramCodecs).Or().If().
		I32(2).Append(t.Text("echo takes and returns raw bytes")).I32(0).I32(0).Call(t.Fail).
		I32(1).Return().
		End()
	if turns > 0 {
		body.Loop().Get(n).I32(1).Add().Tee(n).I32(turns).LtU().BrIf(0).End()
	}
	// for at < size { n = read(0, at, bufferSize); write(0, n); at += n }
	body.Block().Loop().
		Get(at).Get(paramSize).GeU().BrIf(1).
		I32(0).Get(at).I32(bufferSize).Call(t.Read).Set(n).
		I32(0).Get(n).Call(t.Write).
		Get(at).Get(n).Add().Set(at).
		Br(0).End().End().
		I32(0)
	return t.Finish(name, onePage, []ValueType{I32, I32}, body)
}

// TinyTrap returns a guest whose call executes unreachable.
func TinyTrap() []byte {
	return NewTiny().Finish("trap", onePage, nil, new(Code).Unreachable())
}

// TinySpin returns a guest whose call never returns and calls nothing.
func TinySpin() []byte {
	return NewTiny().Finish("spin", onePage, nil, new(Code).Loop().Br(0).End().Unreachable())
}

// TinyBadImport returns an echo-less guest that imports env.mystery.
func TinyBadImport() []byte {
	t := NewTiny()
	mystery := t.Import("env", "mystery", sigNone)
	return t.Finish("badimport", onePage, nil, new(Code).Call(mystery).I32(0))
}

// TinyNoABI returns a module that exports add(i32, i32) -> i32 and nothing of
// the guest interface.
func TinyNoABI() []byte {
	m := new(Module)
	m.Export("add", m.Func(Sig([]ValueType{I32, I32}, I32), nil, new(Code).Get(0).Get(1).Add()))
	return m.Bytes()
}

// TinyExit returns a guest whose call is proc_exit(code).
func TinyExit(code uint32) []byte {
	t := NewTiny()
	exit := t.Import(wasiModule, "proc_exit", sigExit)
	return t.Finish("exit", onePage, nil, new(Code).I32(int32(code)).Call(exit).I32(0))
}

// TinyMemory returns a guest with a memory of at least minPages, whose call
// returns the size in pages as 4 bytes, little endian.
func TinyMemory(minPages uint32) []byte {
	t := NewTiny()
	body := new(Code).I32(0).MemorySize().Store(0).I32(0).I32(4).Call(t.Write).I32(0)
	return t.Finish("memory", [2]uint32{max(minPages, 1), NoMax}, nil, body)
}

// TinyGrow returns a guest whose call grows the memory by one page until that
// fails and then returns how often it did not, as 4 bytes, little endian.
func TinyGrow() []byte {
	const grown = firstLocal
	t := NewTiny()
	body := new(Code).
		Block().Loop().
		I32(1).MemoryGrow().I32(-1).Eq().BrIf(1).
		Get(grown).I32(1).Add().Set(grown).
		Br(0).End().End().
		I32(0).Get(grown).Store(0).I32(0).I32(4).Call(t.Write).
		I32(0)
	return t.Finish("grow", [2]uint32{1, NoMax}, []ValueType{I32}, body)
}

// TinyStartTrap returns a guest that traps while it is instantiated.
func TinyStartTrap() []byte {
	t := NewTiny()
	t.Start(t.Func(sigNone, nil, new(Code).Unreachable()))
	return t.Finish("starttrap", onePage, nil, new(Code).I32(0))
}

// TinyForgedFail returns a guest that writes output, calls fail with the code,
// the message "forged" and the stack "nowhere", and then returns 0 all the same.
func TinyForgedFail(code uint32) []byte {
	t := NewTiny()
	body := new(Code).
		Append(t.Text("output")).Call(t.Write).
		I32(int32(code)).Append(t.Text("forged")).Append(t.Text("nowhere")).Call(t.Fail).
		I32(0)
	return t.Finish("forgedfail", onePage, nil, body)
}

// TinySilentFail returns a guest whose call returns 1 without calling fail.
func TinySilentFail() []byte {
	return NewTiny().Finish("silentfail", onePage, nil, new(Code).I32(1))
}

// TinyOutOfBounds returns a guest whose call asks input_read to write the
// input across the end of its memory.
func TinyOutOfBounds() []byte {
	t := NewTiny()
	body := new(Code).I32(pageSize - 1).I32(0).I32(pageSize).Call(t.Read).Drop().I32(0)
	return t.Finish("outofbounds", onePage, nil, body)
}

// TinyOutputFlood returns a guest that writes output for ever, 64 KiB at a time.
func TinyOutputFlood() []byte {
	t := NewTiny()
	body := new(Code).Loop().I32(0).I32(pageSize).Call(t.Write).Br(0).End().Unreachable()
	return t.Finish("outputflood", onePage, nil, body)
}

// TinyHostCall returns a guest whose call runs the host function on the whole
// input. Its output is the answer if that went well; otherwise the call fails with
// the answer as its message.
func TinyHostCall(name string) []byte {
	const status, size = firstLocal, firstLocal + 1
	const at = pageSize // input and answer lie beyond the first page
	t := NewTiny()
	h := t.ImportHost()
	body := new(Code).
		// read(at, 0, paramSize); status = call(name, at, paramSize)
		Append(room(paramSize)).
		I32(at).I32(0).Get(paramSize).Call(t.Read).Drop().
		Append(t.Text(name)).I32(at).Get(paramSize).Call(h.Call).Set(status).
		// size = size(); read(at, 0, size)
		Call(h.Size).Set(size).
		Append(room(size)).
		I32(at).I32(0).Get(size).Call(h.Read).Drop().
		Get(status).Eqz().If().
		I32(at).Get(size).Call(t.Write).I32(0).Return().
		End().
		I32(1).I32(at).Get(size).I32(0).I32(0).Call(t.Fail).
		I32(1)
	return t.Finish("hostcall", [2]uint32{1, NoMax}, []ValueType{I32, I32}, body)
}

// room is code that grows the memory by a local's bytes, whether that works or
// not.
func room(local uint32) *Code {
	return new(Code).Get(local).I32(16).ShrU().I32(1).Add().MemoryGrow().Drop()
}

// TinyHostLoop returns a guest that calls the host function without input for
// ever.
func TinyHostLoop(name string) []byte {
	t := NewTiny()
	h := t.ImportHost()
	body := new(Code).Loop().Append(t.Text(name)).I32(0).I32(0).Call(h.Call).Drop().Br(0).End().Unreachable()
	return t.Finish("hostloop", onePage, nil, body)
}

// TinyLogFlood returns a guest that logs the line "flood" for ever.
func TinyLogFlood() []byte {
	t := NewTiny()
	body := new(Code).Loop().I32(0).Append(t.Text("flood")).Call(t.Log).Br(0).End().Unreachable()
	return t.Finish("logflood", onePage, nil, body)
}
