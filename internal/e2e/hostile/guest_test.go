package hostile_test

import (
	"strings"
	"time"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/guesttest"
)

const (
	i32, i64 = guesttest.I32, guesttest.I64

	page     = 64 << 10
	function = "f" // that hostile guests register
	standard = `{"sdk":"hostile","functions":[{"name":"f","in":"bytes","out":"bytes"}]}`

	// Where a guest's constants are: its first 32 KiB are free.
	textAt = 32 << 10
)

// A specimen is one module of the corpus, and what it must come to.
type specimen struct {
	name string
	wasm func() []byte // made when its turn comes: some are large

	function string // called; empty means function
	input    []byte
	wall     time.Duration // 0 means brief where that is wanted, else that of limits
	host     []string      // host functions granted

	want []string // outcomes, any of which is right
	text string   // in the error's text

	// heavy is for the full form alone: it takes long. slowImage is so under the start
	// methods that capture an image, which takes 20 s then.
	heavy, slowImage bool
}

type code = guesttest.Code

func instr() *code { return new(code) }

// A guest is a module under construction with every import of the interface.
type guest struct {
	guesttest.Module

	fn     map[string]uint32 // imports by name
	added  uint32            // functions defined
	pages  [2]uint32
	about  string // the description
	text   []byte
	locals []guesttest.ValueType

	describe *code // instead of what writes about
	start    *code // of the start function
	init     *code // of _initialize
	hook     *code // of sandpool_v1_restored
}

// newGuest begins a guest that imports these functions of WASI besides.
func newGuest(wasi ...string) *guest {
	g := &guest{fn: make(map[string]uint32), pages: [2]uint32{1, guesttest.NoMax}, about: standard}
	for _, name := range []string{"input_read", "output_write", "fail", "log", "host_call", "host_size", "host_read"} {
		g.fn[name] = g.Import(guestabi.ImportModule, name, signature(guestabi.Imports[guestabi.ImportModule][name]))
	}
	for _, name := range wasi {
		g.fn[name] = g.Import(guestabi.WASI, name, signature(guestabi.Imports[guestabi.WASI][name]))
	}
	return g
}

// signature reads a type like "(i32, i64) -> (i32)".
func signature(s string) guesttest.Signature {
	params, results, _ := strings.Cut(s, " -> ")
	types := func(list string) (types []guesttest.ValueType) {
		for name := range strings.FieldsFuncSeq(list, func(c rune) bool { return strings.ContainsRune("(), ", c) }) {
			types = append(types, map[string]guesttest.ValueType{"i32": i32, "i64": i64}[name])
		}
		return types
	}
	return guesttest.Signature{Params: types(params), Results: types(results)}
}

// Func adds a function and returns its index.
func (g *guest) Func(s guesttest.Signature, locals []guesttest.ValueType, body *code) uint32 {
	g.added++
	return g.Module.Func(s, locals, body)
}

// next is the index of the function that is added next.
func (g *guest) next() uint32 { return uint32(len(g.fn)) + g.added }

// call calls an import.
func (g *guest) call(name string) *code { return instr().Call(g.fn[name]) }

// str puts a constant into memory and returns code that pushes its address and length.
func (g *guest) str(s string) *code {
	at := textAt + len(g.text)
	g.text = append(g.text, s...)
	return instr().I32(int32(at)).I32(int32(len(s)))
}

var (
	none   = guesttest.Sig(nil)
	answer = guesttest.Sig(nil, i32)
	invoke = guesttest.Sig([]guesttest.ValueType{i32, i32, i32}, i32)
)

// end adds the exports and returns the module. body is that of sandpool_v1_call, whose
// parameters are the locals 0 to 2; without one it returns 0.
func (g *guest) end(body *code) []byte {
	if body == nil {
		body = instr().I32(0)
	}
	describe := g.describe
	if describe == nil {
		describe = instr().Append(g.str(g.about)).Append(g.call("output_write")).I32(0)
	}
	if g.init != nil {
		g.Export(guestabi.ExportInit, g.Func(none, nil, g.init))
	}
	if g.hook != nil {
		g.Export(guestabi.ExportRestored, g.Func(guesttest.Sig(many(i64, 1)), nil, g.hook))
	}
	if g.start != nil {
		g.Start(g.Func(none, nil, g.start))
	}
	g.Export(guestabi.ExportDescribe, g.Func(answer, nil, describe))
	g.Export(guestabi.ExportCall, g.Func(invoke, g.locals, body))
	if need := uint32(textAt+len(g.text)+page-1) / page; g.pages[0] < need {
		g.pages[0] = need
	}
	g.Memory(g.pages[0], g.pages[1])
	if len(g.text) > 0 {
		g.Data(textAt, g.text)
	}
	return g.Bytes()
}

// does is a guest whose call is body.
func does(body func(g *guest) *code, wasi ...string) func() []byte {
	return func() []byte {
		g := newGuest(wasi...)
		return g.end(body(g))
	}
}

// forever repeats code whose stack effect is none.
func forever(c *code) *code { return instr().Loop().Append(c).Br(0).End().Unreachable() }

// uleb is the unsigned LEB128 form of v.
func uleb(v uint64) []byte {
	var b []byte
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// cat joins what is bytes already.
func cat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}
