package guesttest

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// A Hook is what a guest exports as sandpool_v1_restored.
type Hook int

// The hooks.
const (
	NoHook    Hook = iota
	CountHook      // counts its calls and keeps the seed
	TrapHook       // executes unreachable
	FailHook       // calls fail
	WriteHook      // writes output, and counts
	WrongHook      // has the type () -> ()
)

// A CountGuest is what [TinyCount] makes.
type CountGuest struct {
	Salt  string // a constant among its data; its length is part of the code
	Hook  Hook
	Table bool   // code changes a table
	Grow  uint32 // pages that "grow" grows by and writes to
}

// Where the state is: the calls so far, counted in memory and in a global, the calls
// of the hook and its last seed.
const (
	stateAt   = 60_000
	stateSize = 24
)

// Counts are the first bytes of each output of a [CountGuest]; the salt follows.
type Counts struct {
	Memory, Global, Hooks uint32
	Seed                  uint64
}

// ParseCounts reads an output.
func ParseCounts(output []byte) (s Counts, salt string, ok bool) {
	if len(output) < stateSize {
		return s, "", false
	}
	u32 := binary.LittleEndian.Uint32
	s = Counts{u32(output), u32(output[4:]), u32(output[8:]), binary.LittleEndian.Uint64(output[16:])}
	return s, string(output[stateSize:]), true
}

// CountFunctions are the functions of a [CountGuest]. Each counts itself, but for
// peek, does what it is called and shows the state.
func CountFunctions() []string {
	return []string{"count", "peek", "fail", "trap", "exit", "loop", "log", "host", "grow", "panic", "overflow"}
}

// TinyCount returns a guest whose functions keep state in memory and in a global.
func TinyCount(g CountGuest) []byte {
	const global = 0
	t := NewTiny()
	h := t.ImportHost()
	exit := t.Import(wasiModule, "proc_exit", sigExit)
	t.Global(I32, 0)
	if g.Table {
		t.Table(1, 1)
	}
	body := new(Code).
		Get(paramFunction).I32(1).Ne().If().
		I32(stateAt).I32(stateAt).Load(0).I32(1).Add().Store(0).
		GlobalGet(global).I32(1).Add().GlobalSet(global).
		End()
	for i, name := range CountFunctions() {
		body.Get(paramFunction).I32(int32(i)).Eq().If().Append(t.stateFunction(name, g, h, exit)).End()
	}
	body.
		I32(stateAt).GlobalGet(global).Store(4).
		I32(stateAt).I32(stateSize).Call(t.Write).
		Append(t.Text(g.Salt)).Call(t.Write).
		I32(0)
	return t.finishState(g, body)
}

// stateFunction is what a function does before it shows the state.
func (t *Tiny) stateFunction(name string, g CountGuest, h Host, exit uint32) *Code {
	c := new(Code)
	switch name {
	case "fail", "panic":
		code := int32(1)
		if name == "panic" {
			code = 3
		}
		c.I32(code).Append(t.Text("as asked")).I32(0).I32(0).Call(t.Fail).I32(1).Return()
	case "trap":
		c.Unreachable()
	case "exit":
		c.I32(3).Call(exit)
	case "loop":
		c.Loop().Br(0).End()
	case "overflow":
		self := t.funcs + 1 // after describe
		c.Get(paramFunction).Get(paramSize).Get(paramCodecs).Call(self).Return()
	case "log":
		c.I32(0).Append(t.Text("begun")).Call(t.Log)
	case "host":
		c.I32(0).I32(0).Get(paramSize).Call(t.Read).Drop().
			Append(t.Text("host")).I32(0).Get(paramSize).Call(h.Call).Drop()
	case "grow":
		c.I32(int32(g.Grow)).MemoryGrow().Drop()
		const at = firstLocal
		c.I32(pageSize).Set(at).
			Block().Loop().
			Get(at).I32(int32(g.Grow+1) * pageSize).GeU().BrIf(1).
			Get(at).I32(1).Store8(0).
			Get(at).I32(4096).Add().Set(at).
			Br(0).End().End()
	}
	return c
}

// finishState is Finish for several functions, with the hook.
func (t *Tiny) finishState(g CountGuest, body *Code) []byte {
	var list []string
	for _, name := range CountFunctions() {
		list = append(list, fmt.Sprintf(`{"name":%q,"in":"bytes","out":"bytes"}`, name))
	}
	about := t.Text(`{"sdk":"tiny","functions":[` + strings.Join(list, ",") + `]}`)
	t.Export("sandpool_v1_describe", t.Func(sigAnswer, nil, about.Call(t.Write).I32(0)))
	t.Export("sandpool_v1_call", t.Func(sigRead, []ValueType{I32}, body))
	hook, sig := new(Code), Sig([]ValueType{I64})
	switch g.Hook {
	case NoHook:
	case CountHook, WriteHook:
		const i64Store = 0x37
		hook.I32(stateAt).I32(stateAt).Load(8).I32(1).Add().Store(8).
			I32(stateAt).Get(0).Raw(i64Store, 0, 16)
		if g.Hook == WriteHook {
			hook.Append(t.Text("from the hook")).Call(t.Write)
		}
	case TrapHook:
		hook.Unreachable()
	case FailHook:
		hook.I32(1).Append(t.Text("from the hook")).I32(0).I32(0).Call(t.Fail)
	case WrongHook:
		sig = sigNone
	}
	if g.Hook != NoHook {
		t.Export("sandpool_v1_restored", t.Func(sig, nil, hook))
	}
	if g.Table {
		const refNull, tableSet = 0xd0, 0x26
		t.Export("clear", t.Func(sigNone, nil, new(Code).I32(0).Raw(refNull, byte(FuncRef), tableSet, 0)))
	}
	t.Memory(1, NoMax)
	t.Data(textAt, t.text)
	return t.Bytes()
}
