package hostile_test

import (
	"github.com/sandpool/sandpool/internal/guesttest"
)

// Instructions that guesttest has no method for, with their operands.
var (
	memoryFill = []byte{0xfc, 11, 0}
	memoryCopy = []byte{0xfc, 10, 0, 0}
	tableGrow  = []byte{0xfc, 15, 0}
	tableFill  = []byte{0xfc, 17, 0}

	refNull = []byte{0xd0, byte(guesttest.FuncRef)}
)

// loops never come back.
func loops() []specimen {
	var all []specimen
	add := func(name string, body func(g *guest) *code, wasi ...string) {
		all = append(all, specimen{name: name, wasm: does(body, wasi...), want: []string{wall, cpu}})
	}
	add("loop", func(*guest) *code { return forever(instr()) })
	add("calls", func(g *guest) *code {
		nop := g.Func(none, nil, instr())
		return forever(instr().Call(nop))
	})
	add("grow by nothing", func(*guest) *code { return forever(instr().I32(0).MemoryGrow().Drop()) })
	add("grow by too much", func(*guest) *code { return forever(instr().I32(65_535).MemoryGrow().Drop()) })
	add("fill", func(g *guest) *code {
		g.pages[0] = 512
		return forever(instr().I32(page).I32(7).I32(511 * page).Raw(memoryFill...))
	})
	add("copy", func(g *guest) *code {
		g.pages[0] = 512
		return forever(instr().I32(256 * page).I32(page).I32(255 * page).Raw(memoryCopy...))
	})
	add("table.fill", func(g *guest) *code {
		g.Table(1_000_000, guesttest.NoMax)
		return forever(instr().I32(0).Raw(refNull...).I32(1_000_000).Raw(tableFill...))
	})
	add("input_read", func(g *guest) *code {
		return forever(instr().I32(0).I32(0).I32(page).Append(g.call("input_read")).Drop())
	})
	add("output_write of nothing", func(g *guest) *code {
		return forever(instr().I32(0).I32(0).Append(g.call("output_write")))
	})
	add("fail", func(g *guest) *code {
		g.pages[0] = 64
		return forever(instr().I32(1).I32(0).I32(64 * page).I32(0).I32(64 * page).Append(g.call("fail")))
	})
	add("host_size", func(g *guest) *code { return forever(g.call("host_size").Drop()) })
	add("host_call, not granted", func(g *guest) *code {
		return forever(instr().Append(g.str("secret")).I32(0).I32(page).Append(g.call("host_call")).Drop())
	})
	add("host_call, no name", func(g *guest) *code {
		return forever(instr().I32(0).I32(0).I32(0).I32(0).Append(g.call("host_call")).Drop())
	})
	add("host_call, long name", func(g *guest) *code {
		g.pages[0] = 256
		return forever(instr().I32(0).I32(256 * page).I32(0).I32(0).Append(g.call("host_call")).Drop())
	})
	add("random_get", func(g *guest) *code {
		g.pages[0] = 512
		return forever(instr().I32(0).I32(512 * page).Append(g.call("random_get")).Drop())
	}, "random_get")
	add("sched_yield", func(g *guest) *code { return forever(g.call("sched_yield").Drop()) }, "sched_yield")
	add("fd_write of nothing", func(g *guest) *code {
		return forever(instr().I32(1).I32(0).I32(4000).I32(0).Append(g.call("fd_write")).Drop())
	}, "fd_write")
	add("sleep", func(g *guest) *code { return sleep(g).I32(0) }, "poll_oneoff")
	granted := specimen{name: "host_call, granted", want: []string{wall, cpu, "limit: host calls"}, host: []string{"echo"}}
	granted.wasm = does(func(g *guest) *code {
		return forever(instr().Append(g.str("echo")).I32(0).I32(1000).Append(g.call("host_call")).Drop())
	})
	return append(all, granted)
}

// sleep is a poll_oneoff that lasts for 292 years.
func sleep(g *guest) *code {
	const at, clock, timeout = 1024, 16, 24
	return instr().
		I32(at + clock).I32(1).Store(0).
		I32(at + timeout).I32(-1).Store(0).
		I32(at + timeout).I32(0x7fffffff).Store(4).
		I32(at).I32(4096).I32(1).I32(512).Append(g.call("poll_oneoff")).Drop()
}

// recursions overflow the stack: a trap, or a limit where the host counts frames.
func recursions() []specimen {
	overflow := []string{trap, stack}
	return []specimen{
		{name: "plain", want: overflow, wasm: does(func(g *guest) *code {
			self := g.next()
			g.Func(none, nil, instr().Call(self))
			return instr().Call(self).I32(0)
		})},
		{name: "many locals", want: overflow, wasm: does(func(g *guest) *code {
			self := g.next()
			locals := make([]guesttest.ValueType, 1000)
			for i := range locals {
				locals[i] = i64
			}
			body := instr()
			for i := range uint32(1000) { // all of them live across the call
				body.I64(int64(i)).Set(i)
			}
			body.Call(self)
			for i := range uint32(1000) {
				body.Get(i).Wrap().Drop()
			}
			g.Func(none, locals, body)
			return instr().Call(self).I32(0)
		})},
		{name: "through a table", want: overflow, wasm: does(func(g *guest) *code {
			self := g.next()
			g.Table(1, 1)
			g.Func(none, nil, instr().I32(0).CallIndirect(&g.Module, none))
			g.Elements(0, self)
			return instr().Call(self).I32(0)
		})},
		{name: "in the start function", want: overflow, wasm: func() []byte {
			g := newGuest()
			self := g.next()
			g.Func(none, nil, instr().Call(self))
			g.start = instr().Call(self)
			return g.end(nil)
		}},
		{name: "that writes and ends", want: []string{trap, stack, output}, wasm: does(func(g *guest) *code {
			self := g.next()
			g.Func(none, nil, instr().I32(0).I32(64).Append(g.call("output_write")).Call(self))
			return instr().Call(self).I32(0)
		})},
	}
}

// bombs ask for memory.
func bombs() []specimen {
	growAll := func(after *code) *code {
		return instr().Loop().I32(1).MemoryGrow().I32(-1).Ne().BrIf(0).End().Append(after)
	}
	ended := []string{ok, outOfMemory, memory, trap}
	tables := func(by int32, most int32) func(g *guest) *code {
		return func(g *guest) *code { // until it is refused
			g.Table(0, guesttest.NoMax)
			g.locals = []guesttest.ValueType{i32}
			return instr().Block().Loop().
				Raw(refNull...).I32(by).Raw(tableGrow...).I32(-1).Eq().BrIf(1).
				Get(3).I32(1).Add().Tee(3).I32(most).LtU().BrIf(0).End().End().I32(0)
		}
	}
	return []specimen{
		{name: "grow until refused", want: []string{ok}, wasm: does(func(*guest) *code { return growAll(instr().I32(0)) })},
		{name: "grow and give up", want: []string{memory}, wasm: does(func(*guest) *code { return growAll(instr().Unreachable()) })},
		{name: "grow by all at once", want: []string{ok}, wasm: does(func(*guest) *code {
			return instr().I32(65_535).MemoryGrow().Drop().I32(-1).MemoryGrow().Drop().I32(0)
		})},
		{name: "grow and touch", want: []string{ok}, wall: limits.Wall, wasm: does(func(*guest) *code {
			return growAll(instr().I32(0).I32(7).MemorySize().I32(page).Mul().Raw(memoryFill...).I32(0))
		})},
		{name: "in _initialize", want: []string{ok, memory}, wall: limits.Wall, wasm: func() []byte {
			g := newGuest()
			g.init = growAll(instr())
			return g.end(nil)
		}},
		{name: "all from the start", want: []string{memory}, wasm: func() []byte {
			g := newGuest()
			g.pages[0] = 65_536
			return g.end(nil)
		}},
		{name: "a page too many from the start", want: []string{memory}, wasm: func() []byte {
			g := newGuest()
			g.pages[0] = uint32(limits.Memory/page) + 1
			return g.end(nil)
		}},
		{name: "a large table", want: []string{ok}, wall: limits.Wall, wasm: does(func(g *guest) *code {
			g.Table(10_000_000, guesttest.NoMax)
			return instr().I32(0)
		})},
		{name: "table.grow by two thousand million", want: ended, wasm: does(tables(0x7fffffff, 3))},
		{name: "table.grow by a million each", want: append([]string{wall, cpu}, ended...), wall: limits.Wall / 2, wasm: does(tables(1_000_000, 10_000))},
		{name: "table.grow by one each", want: append([]string{wall, cpu}, ended...), wasm: does(tables(1, 1<<30))},
	}
}
