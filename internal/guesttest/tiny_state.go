package guesttest

import "math"

// Where TinyState has what in its two pages. The call's input is at 0: a verb,
// then a number.
const (
	stateNumber  = 8
	stateScratch = 64
	stateLast    = 1024
	stateStatic  = 2048
	stateHeap    = pageSize + 4096
	statePattern = 64 // bytes: the magic word and the number, four times
	stateGrown   = 8  // pages that mark adds, at most

	// Inverted, so that the word is in memory only where mark puts it: "LEAKED!!".
	invertedMagic = ^0x212144454b41454c
)

// The functions of TinyState, by their indices in the guest interface.
const (
	stateMark = iota
	stateLook
)

// TinyState returns a [State] guest without a runtime: memory, globals of three
// types and a table that it never changes.
func TinyState() []byte { return newTinyState().finishState(false) }

// TinyStateTable is TinyState whose marks change the table too.
func TinyStateTable() []byte { return newTinyState().finishState(true) }

// tinyState is the guest under construction: its globals and functions.
type tinyState struct {
	*Tiny
	exit                           uint32
	calls, marks, wide, real, kept uint32 // globals
	one, two                       uint32 // in the table
	hex, sum, found, fill, deep    uint32
}

func newTinyState() *tinyState {
	t := &tinyState{Tiny: NewTiny()}
	t.exit = t.Import(wasiModule, "proc_exit", sigExit)
	t.calls, t.marks = t.Global(I32, 0), t.Global(I32, 0)
	t.wide, t.real = t.Global(I64, -1), t.Global(F64, int64(math.Float64bits(0.5)))
	t.kept = t.Global(I32, 0)
	t.ExportGlobal("marks", t.marks)
	t.Data(stateLast, []byte("--------"))
	t.Data(stateStatic, []byte("as it was linked"))
	t.one = t.Func(sigAnswer, nil, new(Code).I32(1))
	t.two = t.Func(sigAnswer, nil, new(Code).I32(2))
	t.ExportTable("table", t.Table(2, 2))
	t.Elements(0, t.one, t.two)
	t.addHex()
	t.addSum()
	t.addFound()
	t.addFill()
	// deep(n) = deep(n+1) + 1, which is no tail call.
	t.deep = t.funcs
	t.Func(Sig([]ValueType{I32}, I32), nil, new(Code).Get(0).I32(1).Add().Call(t.deep).I32(1).Add())
	return t
}

// addHex adds hex(v), which writes 8 digits to the output.
func (t *tinyState) addHex() {
	const v, i, digit = 0, 1, 2
	t.hex = t.Func(Sig([]ValueType{I32}), []ValueType{I32, I32}, new(Code).
		Loop().
		// digit = v >> (28 - 4*i) & 15
		Get(v).I32(28).Get(i).I32(4).Mul().Sub().ShrU().I32(15).And().Set(digit).
		Get(i).
		Get(digit).I32('0').Add().Get(digit).I32(10).GeU().I32('a'-'9'-1).Mul().Add().
		Store8(stateScratch).
		Get(i).I32(1).Add().Tee(i).I32(8).LtU().BrIf(0).
		End().
		I32(stateScratch).I32(8).Call(t.Write))
}

// words is a loop over the memory's 64-bit words, with the address in a local.
func words(address uint32, body *Code) *Code {
	return new(Code).
		Loop().
		Append(body).
		Get(address).I32(8).Add().Tee(address).
		MemorySize().I32(pageSize).Mul().LtU().BrIf(0).
		End()
}

// addSum adds sum(), a checksum of the whole memory.
func (t *tinyState) addSum() {
	const at, h = 0, 1
	step := new(Code).Get(h).Get(at).Load64(0).Xor64().I64(1099511628211).Mul64().Set(h)
	t.sum = t.Func(Sig(nil, I64), []ValueType{I32, I64}, words(at, step).Get(h))
}

// addFound adds found(), which counts the magic words.
func (t *tinyState) addFound() {
	const at, n = 0, 1
	step := new(Code).Get(n).Get(at).Load64(0).I64(-1).Xor64().I64(invertedMagic).Eq64().Add().Set(n)
	t.found = t.Func(sigAnswer, []ValueType{I32, I32}, words(at, step).Get(n))
}

// addFill adds fill(at), which writes the pattern there.
func (t *tinyState) addFill() {
	const at = 0
	body := new(Code)
	for i := uint32(0); i < statePattern; i += 16 {
		body.Get(at).I64(invertedMagic).I64(-1).Xor64().Store64(i)
		body.Get(at).I32(stateNumber).Load64(0).Store64(i + 8)
	}
	t.fill = t.Func(sigExit, nil, body)
}

// finishState adds the call and returns the module.
func (t *tinyState) finishState(changesTable bool) []byte {
	const verb, sum = firstLocal, firstLocal + 1
	mark := t.Func(sigNone, []ValueType{I32}, t.mark(changesTable))
	look := t.Func(Sig([]ValueType{I64}), nil, t.look())
	body := new(Code).
		Call(t.sum).Set(sum).
		Get(paramFunction).I32(stateLook).Eq().If().Get(sum).Call(look).I32(0).Return().End().
		// The input of mark is what comes second in that of do.
		Get(paramFunction).I32(stateMark).Eq().If().
		I32(stateNumber).I32(0).I32(8).Call(t.Read).Drop().Call(mark).I32(0).Return().
		End().
		I32(0).I32(0).I32(16).Call(t.Read).Drop().
		I32(0).Load(0).Set(verb).
		Get(verb).Append(fourBytes("look")).Eq().If().Get(sum).Call(look).I32(0).Return().End().
		Call(mark)
	for _, end := range t.endings() {
		body.Get(verb).Append(fourBytes(end.verb)).Eq().If().Append(end.code).I32(0).Return().End()
	}
	body.I32(2).Append(t.Text("unknown verb")).I32(0).I32(0).Call(t.Fail).I32(1)
	return t.finish([]string{"mark", "look", "do"}, [2]uint32{2, NoMax}, []ValueType{I32, I64}, body)
}

// An ending is what a verb does after the mark. Its code may return from the call.
type ending struct {
	verb string
	code *Code
}

func (t *tinyState) endings() []ending {
	return []ending{
		{"mark", new(Code)},
		{"trap", new(Code).Unreachable()},
		{"divide", new(Code).I32(1).I32(0).DivU().Drop()},
		{"oob", new(Code).I32(-16).Load(0).Drop()},
		{"exit", new(Code).I32(3).Call(t.exit)},
		{"overflow", new(Code).I32(0).Call(t.deep).Drop()},
		{"memory", new(Code).Loop().I32(16).MemoryGrow().I32(-1).Ne().BrIf(0).End().Unreachable()},
		{"flood", new(Code).Loop().I32(0).I32(pageSize).Call(t.Write).Br(0).End()},
		{"error", new(Code).I32(1).Append(t.Text("marked and failed")).I32(0).I32(0).Call(t.Fail).I32(1).Return()},
	}
}

// fourBytes is what a verb's first four bytes read as.
func fourBytes(verb string) *Code {
	b := (verb + "    ")[:4]
	return new(Code).I32(int32(b[0]) | int32(b[1])<<8 | int32(b[2])<<16 | int32(b[3])<<24)
}

// mark is the body of a function without parameters.
func (t *tinyState) mark(changesTable bool) *Code {
	const at = 0
	c := new(Code).
		Append(increment(t.calls)).
		Append(increment(t.marks)).
		I32(stateNumber).Load64(0).GlobalSet(t.wide).
		GlobalGet(t.real).F64(1).AddF64().GlobalSet(t.real).
		I32(stateLast).I32(stateNumber).Load64(0).Store64(0).
		I32(stateStatic).Call(t.fill).
		I32(stateHeap).Call(t.fill).
		// The first and the last bytes of two new pages.
		GlobalGet(t.kept).I32(stateGrown).LtU().If().
		I32(2).MemoryGrow().Tee(at).I32(-1).Ne().If().
		GlobalGet(t.kept).I32(2).Add().GlobalSet(t.kept).
		Get(at).I32(pageSize).Mul().Tee(at).Call(t.fill).
		Get(at).I32(2*pageSize - statePattern).Add().Call(t.fill).
		End().End()
	if changesTable {
		c.I32(0).RefFunc(t.two).TableSet(0)
	}
	return c
}

func increment(global uint32) *Code {
	return new(Code).GlobalGet(global).I32(1).Add().GlobalSet(global)
}

// look is the body of a function of the memory's checksum.
func (t *tinyState) look() *Code {
	const sum = 0
	c := new(Code)
	say := func(name string, value *Code) { c.Append(t.Text(name)).Call(t.Write).Append(value).Call(t.hex) }
	wide := func(name string, value *Code) {
		say(name, new(Code).Append(value).I64(32).ShrU64().Wrap())
		c.Append(value).Wrap().Call(t.hex)
	}
	c.Append(increment(t.calls))
	say("calls=", new(Code).GlobalGet(t.calls))
	say(" marks=", new(Code).GlobalGet(t.marks))
	c.Append(t.Text(" last=")).Call(t.Write).I32(stateLast).I32(8).Call(t.Write)
	say("\nfound=", new(Code).Call(t.found))
	say("\npages=", new(Code).MemorySize())
	wide(" sum=", new(Code).Get(sum))
	wide("\nwide=", new(Code).GlobalGet(t.wide))
	wide(" real=", new(Code).GlobalGet(t.real).Bits64())
	say(" kept=", new(Code).GlobalGet(t.kept))
	say("\ntable=", new(Code).I32(0).CallIndirect(&t.Module, sigAnswer))
	say(",", new(Code).I32(1).CallIndirect(&t.Module, sigAnswer))
	return c.Append(t.Text("\n")).Call(t.Write)
}
