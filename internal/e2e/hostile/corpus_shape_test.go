package hostile_test

import (
	"strings"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/guesttest"
)

// IDs of sections.
const (
	secCustom, secType, secImport, secFunction, secTable, secMemory, secGlobal, secExport = 0, 1, 2, 3, 4, 5, 6, 7
	secStart, secElement, secCode, secData, secDataCount, secTag                          = 8, 9, 10, 11, 12, 13
)

// shapes are modules whose imports and exports are not those of a guest.
func shapes() []specimen {
	all := append(exportShapes(), importShapes()...)
	return append(all, bodies()...)
}

// interfaceOf is a module with the exports of a guest, by what they are.
func interfaceOf(describe, call guesttest.Signature, more func(m *guesttest.Module)) func() []byte {
	return func() []byte {
		m := new(guesttest.Module)
		body := func(s guesttest.Signature) *code {
			c := instr()
			for range s.Results {
				c.I32(0)
			}
			return c
		}
		m.Export(guestabi.ExportDescribe, m.Func(describe, nil, body(describe)))
		m.Export(guestabi.ExportCall, m.Func(call, nil, body(call)))
		m.Memory(1, 1)
		if more != nil {
			more(m)
		}
		return m.Bytes()
	}
}

func exportShapes() []specimen {
	sig := guesttest.Sig
	bad := func(name string, describe, call guesttest.Signature) specimen {
		return specimen{name: name, want: []string{missingExport}, wasm: interfaceOf(describe, call, nil)}
	}
	of := func(name string, more func(m *guesttest.Module)) specimen {
		return specimen{name: name, want: []string{invalid}, wasm: interfaceOf(answer, invoke, more)}
	}
	blank := func(m *guesttest.Module, s guesttest.Signature) uint32 { return m.Func(s, nil, instr()) }
	return []specimen{
		bad("describe takes", sig([]guesttest.ValueType{i32}, i32), invoke),
		bad("describe returns nothing", none, invoke),
		bad("call takes nothing", answer, answer),
		bad("call takes four", answer, sig(many(i32, 4), i32)),
		bad("call takes i64", answer, sig(many(i64, 3), i32)),
		bad("call returns nothing", answer, sig(many(i32, 3))),
		bad("call returns two", answer, sig(many(i32, 3), i32, i32)),
		of("describes nothing", nil),
		of("_initialize takes", func(m *guesttest.Module) {
			m.Export(guestabi.ExportInit, blank(m, sig([]guesttest.ValueType{i32})))
		}),
		of("_initialize is a global", func(m *guesttest.Module) { m.ExportGlobal(guestabi.ExportInit, m.Global(i32, 0)) }),
		of("restored takes nothing", func(m *guesttest.Module) { m.Export(guestabi.ExportRestored, blank(m, none)) }),
		of("restored is a table", func(m *guesttest.Module) { m.ExportTable(guestabi.ExportRestored, m.Table(1, 1)) }),
		of("the same export twice", func(m *guesttest.Module) { m.Export("x", 0); m.Export("x", 1) }),
		of("an export of a function that is not there", func(m *guesttest.Module) { m.Export("x", 99) }),
		of("the executor's own names", func(m *guesttest.Module) { m.ExportGlobal("\x00sandpool.global.0", m.Global(i32, 0)) }),
		of("evil names", func(m *guesttest.Module) { m.Export(strings.ToValidUTF8(evil, "?"), 0); m.Export("", 0) }),
		of("names that are not UTF-8", func(m *guesttest.Module) { m.Export(evil, 0) }),
		of("two memories", func(m *guesttest.Module) { m.Memory(1, 1) }),
		{name: "nothing but a header", want: []string{missingExport}, wasm: guesttest.Header},
		{name: "another interface", want: []string{missingExport}, wasm: guesttest.TinyNoABI},
		{name: "no bytes", want: []string{notWasm, truncated}, wasm: func() []byte { return nil }},
		{name: "a text", want: []string{notWasm}, wasm: func() []byte { return []byte(strings.Repeat(evil, 100)) }},
		{name: "version 2", want: []string{notWasm}, wasm: func() []byte { return []byte("\x00asm\x02\x00\x00\x00") }},
		{name: "a component", want: []string{notWasm}, wasm: func() []byte { return []byte("\x00asm\x0d\x00\x01\x00") }},
		{name: "no memory", want: []string{missingExport}, wasm: func() []byte {
			m := new(guesttest.Module)
			m.Export(guestabi.ExportDescribe, m.Func(answer, nil, instr().I32(0)))
			m.Export(guestabi.ExportCall, m.Func(invoke, nil, instr().I32(0)))
			return m.Bytes()
		}},
		{name: "a 64 bit memory", want: []string{invalid, missingExport}, wasm: func() []byte {
			return cat(guesttest.Header(), guesttest.Section(secMemory, []byte{1, 4, 1}))
		}},
	}
}

func importShapes() []specimen {
	var all []specimen
	add := func(name, module, field string, s guesttest.Signature) {
		all = append(all, specimen{name: name, want: []string{missingImport}, wasm: func() []byte {
			m := new(guesttest.Module)
			m.Import(module, field, s)
			m.Export(guestabi.ExportDescribe, m.Func(answer, nil, instr().I32(0)))
			m.Export(guestabi.ExportCall, m.Func(invoke, nil, instr().I32(0)))
			m.Memory(1, 1)
			return m.Bytes()
		}})
	}
	clean := strings.ToValidUTF8(evil, "?")
	add("another module", "env", "abort", none)
	add("a function that is not there", guestabi.ImportModule, "shell", none)
	add("one of WASI that is not there", guestabi.WASI, "proc_exec", none)
	add("a function of the other", guestabi.WASI, "input_read", invoke)
	add("evil names", clean, clean, none)
	add("no names", "", "", none)
	add("long names", strings.Repeat("m", 100_000), strings.Repeat("n", 100_000), none)
	add("Go's own", "go", "debug", guesttest.Sig(many(i32, 1)))
	for module, functions := range guestabi.Imports {
		for name := range functions { // each with a type that none has
			add("the type of "+name, module, name, guesttest.Sig(many(i64, 12), i64))
		}
	}
	raw := func(name string, descriptor ...byte) {
		all = append(all, specimen{name: name, want: []string{missingImport, invalid}, wasm: func() []byte {
			entry := cat([]byte{1}, []byte("\x0bsandpool_v1\x06memory"), descriptor)
			return cat(guesttest.Header(), guesttest.Section(secImport, entry))
		}})
	}
	raw("a memory", 2, 0, 1)
	raw("a table", 1, 0x70, 0, 1)
	raw("a global", 3, 0x7f, 1)
	raw("a tag", 4, 0, 0)
	raw("a kind that is none", 9, 0)
	return all
}

// bodies are code that no compiler should take.
func bodies() []specimen {
	all := make([]specimen, 0, 32)
	for name, body := range map[string]*code{
		"nothing on the stack":  instr().Drop().I32(0),
		"no result":             instr(),
		"two results":           instr().I32(0).I32(0),
		"another type":          instr().I64(0),
		"no such local":         instr().Get(1 << 30),
		"no such global":        instr().GlobalGet(0),
		"a constant global set": instr().I32(0).GlobalSet(9),
		"no such function":      instr().Call(1 << 20),
		"no such label":         instr().Br(99),
		"no table":              instr().I32(0).Raw(0x11, 0, 0).I32(0),
		"no end":                instr().Block().I32(0),
		"too many ends":         instr().I32(0).End().End(),
		"else without if":       instr().Else().I32(0),
		"no such instruction":   instr().Raw(0xff).I32(0),
		"no such prefix":        instr().Raw(0xfc, 0xff, 0x7f).I32(0),
		"a constant of 10 byte": instr().Raw(0x41, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0),
		"threads":               instr().I32(0).Raw(0xfe, 0x10, 2, 0),
		"exceptions":            instr().Raw(0x08, 0).I32(0),
		"tail calls":            instr().I32(0).I32(0).I32(0).Raw(0x12, 1),
		"garbage collection":    instr().Raw(0xfb, 0, 0).Drop().I32(0),
		"relaxed vectors":       instr().I32(0).Raw(0xfd, 0x0f).I32(0).Raw(0xfd, 0x0f).Raw(0xfd, 0x80, 2).Drop().I32(0),
		"alignment":             instr().I32(0).Raw(0x28, 31, 0),
	} {
		all = append(all, specimen{name: "code: " + name, want: []string{invalid}, wasm: does(func(*guest) *code { return instr().Append(body) })})
	}
	return all
}

// lies are descriptions that do not describe.
func lies() []specimen {
	var all []specimen
	add := func(name, about string, want ...string) {
		all = append(all, specimen{name: name, want: want, wasm: func() []byte {
			g := newGuest()
			g.about = about
			return g.end(nil)
		}})
	}
	named := func(name string) string { return `{"functions":[{"name":` + name + `}]}` }
	list := func(n int) string {
		return `{"functions":[` + strings.TrimSuffix(strings.Repeat(`{"name":"x"},`, n), ",") + `]}`
	}
	add("nothing", "", invalid)
	add("no JSON", evil, invalid)
	add("null", "null", invalid)
	add("an array", "[]", invalid)
	add("cut short", standard[:len(standard)-1], invalid)
	add("twice", standard+standard, invalid)
	add("empty", "{}", missingExport)
	add("another function", named(`"g"`), missingExport)
	add("the function twice", `{"functions":[{"name":"f"},{"name":"f"}]}`, invalid)
	add("members twice", `{"functions":[{"name":"f"}],"functions":[{"name":"g"}]}`, missingExport)
	add("a name twice", `{"functions":[{"name":"f","name":"g"}]}`, missingExport)
	add("evil name", named(`"\u001b]0;owned\u0007"`), invalid)
	add("name with a newline", named(`"f\n"`), invalid)
	add("name that is not UTF-8", named("\"f\xff\""), invalid)
	add("name with NUL", named(`"\u0000"`), invalid)
	add("no name", named(`""`), invalid)
	add("long name", named(`"`+strings.Repeat("x", 129)+`"`), invalid)
	add("huge name", named(`"`+strings.Repeat("\x1b", 1<<19)+`"`), invalid)
	add("huge sdk", `{"sdk":"`+strings.Repeat("x", 1<<19)+`"}`, invalid)
	add("evil sdk", `{"sdk":"\u001b[31m\u009b\u202e","functions":[{"name":"f","in":"\u001b[31m","out":"\n\n"}]}`, ok)
	add("not UTF-8", `{"sdk":"`+evil+`"}`, invalid)
	add("deep objects", strings.Repeat(`{"a":`, 150_000), invalid)
	add("deep arrays", `{"x":`+strings.Repeat(`[`, 1<<19), invalid)
	add("too large", strings.Repeat(" ", 1<<20)+standard, output)
	add("as large as may be", strings.Repeat(" ", 1<<20-len(standard))+standard, ok)
	add("a number without end", `{"functions":`+strings.Repeat("9", 1<<19)+`}`, invalid)
	add("many of the same", list(50_000), invalid)
	add("many without names", `{"functions":[`+strings.Repeat("{},", 1<<18)+`{}]}`, invalid)
	all = append(all, specimen{name: "outside the memory", want: []string{trap}, text: outside, wasm: func() []byte {
		g := newGuest()
		g.describe = instr().I32(-1).I32(4096).Append(g.call("output_write")).I32(0)
		return g.end(nil)
	}}, specimen{name: "another each time", want: []string{ok, invalid, missingExport}, wasm: func() []byte {
		g := newGuest("random_get")
		body := instr().Append(g.str(named(`"f"`))).Drop().Drop().
			I32(textAt + int32(len(`{"functions":[{"name":"`))).I32(1).Append(g.call("random_get")).Drop().
			I32(textAt).I32(int32(len(named(`"f"`)))).Append(g.call("output_write")).I32(0)
		g.describe = body
		return g.end(nil)
	}})
	return all
}
