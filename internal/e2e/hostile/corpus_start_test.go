package hostile_test

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sandpool/sandpool/internal/guesttest"
)

// starts do harm before their function is called.
func starts() []specimen {
	var all []specimen
	kinds := map[string]func(g *guest, c *code){
		"start":       func(g *guest, c *code) { g.start = c },
		"_initialize": func(g *guest, c *code) { g.init = c },
		"describe":    func(g *guest, c *code) { g.describe = c.I32(0) },
	}
	for where, put := range kinds {
		add := func(what string, body func(g *guest) *code, want ...string) {
			slow := want[0] == wall
			all = append(all, specimen{name: where + " " + what, slowImage: slow, want: want, wasm: func() []byte {
				g := newGuest("proc_exit", "poll_oneoff")
				put(g, body(g))
				return g.end(nil)
			}})
		}
		harmless := ok
		if where == "describe" {
			harmless = invalid // it describes nothing
		}
		add("traps", func(*guest) *code { return instr().Unreachable() }, trap)
		add("hangs", func(*guest) *code { return forever(instr()) }, wall, cpu)
		add("sleeps", sleep, wall)
		add("exits", func(g *guest) *code { return instr().I32(0).Append(g.call("proc_exit")) }, exit)
		add("exits with 7", func(g *guest) *code { return instr().I32(7).Append(g.call("proc_exit")) }, exit)
		add("exits with -1", func(g *guest) *code { return instr().I32(-1).Append(g.call("proc_exit")) }, exit)
		add("fails", func(g *guest) *code { return forgedFail(g, 1) }, harmless, failed)
		add("floods the log", logFlood, logged)
		add("floods its output", func(g *guest) *code {
			return forever(instr().I32(0).I32(page).Append(g.call("output_write")))
		}, output)
		add("calls its host", func(g *guest) *code {
			return instr().Append(g.str("echo")).I32(0).I32(0).Append(g.call("host_call")).Drop()
		}, harmless)
		add("has no input", func(g *guest) *code {
			return instr().I32(0).I32(0).I32(9).Append(g.call("input_read")).If().Unreachable().End()
		}, harmless)
	}
	return append(append(all, describeResults()...), hooks()...)
}

// hooks do harm when they are told that their instance is another. Only instances that
// start from an image are.
func hooks() []specimen {
	var all []specimen
	add := func(what, want string, body func(g *guest) *code) {
		all = append(all, specimen{name: "the hook " + what, want: []string{ok, want, cpu, stack}, wasm: func() []byte {
			g := newGuest("proc_exit", "poll_oneoff")
			g.hook = body(g)
			return g.end(nil)
		}})
	}
	add("traps", trap, func(*guest) *code { return instr().Unreachable() })
	add("hangs", wall, func(*guest) *code { return forever(instr()) })
	add("sleeps", wall, sleep)
	add("exits", exit, func(g *guest) *code { return instr().I32(-1).Append(g.call("proc_exit")) })
	add("fails", failed, func(g *guest) *code { return forgedFail(g, 1) })
	add("floods the log", logged, logFlood)
	add("floods its output", output, func(g *guest) *code {
		return forever(instr().I32(0).I32(page).Append(g.call("output_write")))
	})
	add("recurses", trap, func(g *guest) *code {
		self := g.next()
		g.Func(none, nil, instr().Call(self))
		return instr().Call(self)
	})
	return all
}

func describeResults() []specimen {
	return []specimen{
		{name: "describe returns 7", want: []string{invalid}, text: "7", wasm: func() []byte {
			g := newGuest()
			g.describe = instr().I32(7)
			return g.end(nil)
		}},
		{name: "describe fails", want: []string{failed}, wasm: func() []byte {
			g := newGuest()
			g.describe = forgedFail(g, 1).I32(1)
			return g.end(nil)
		}},
	}
}

// logFlood logs for ever.
func logFlood(g *guest) *code {
	return forever(instr().I32(0).I32(0).I32(100).Append(g.call("log")))
}

// exits end by codes, some of which the engine uses for its own purposes.
func exits() []specimen {
	var all []specimen
	for _, n := range []uint32{0, 1, 7, 125, 255, 256, 0x7fffffff, 0xefffffff, 0xfffffffe, 0xffffffff} {
		all = append(all, specimen{
			name: strconv.FormatUint(uint64(n), 10), want: []string{exit}, text: fmt.Sprintf("exit status %d", n),
			wasm: does(func(g *guest) *code { return instr().I32(int32(n)).Append(g.call("proc_exit")).I32(0) }, "proc_exit"),
		})
	}
	return all
}

// Text that a terminal would obey.
const evil = "\x1b]0;owned\a\x1b[31m\r\n\x00\x7f\u009b2J\u202e\u2028\xff\xfe"

// forgedFail fails with evil texts.
func forgedFail(g *guest, number int32) *code {
	return instr().I32(number).Append(g.str(evil)).Append(g.str(evil)).Append(g.call("fail"))
}

// fails say why, in their own way.
func fails() []specimen {
	all := []specimen{
		{name: "returns 1", want: []string{failed}, text: "without a reason", wasm: does(func(*guest) *code { return instr().I32(1) })},
		{name: "returns -1", want: []string{failed}, wasm: does(func(*guest) *code { return instr().I32(-1) })},
		{name: "and traps", want: []string{failed}, wasm: does(func(g *guest) *code { return forgedFail(g, 1).Unreachable() })},
		{name: "and returns 0", want: []string{failed}, wasm: does(func(g *guest) *code { return forgedFail(g, 1).I32(0) })},
		{name: "huge texts", want: []string{failed}, wasm: does(func(g *guest) *code {
			g.pages[0] = 512
			return instr().I32(1).I32(page).I32(511 * page).I32(page).I32(511 * page).Append(g.call("fail")).I32(1)
		})},
		{name: "texts outside", want: []string{trap}, text: outside, wasm: does(func(g *guest) *code {
			return instr().I32(1).I32(8).I32(-1).I32(0).I32(0).Append(g.call("fail")).I32(1)
		})},
		{name: "stack outside", want: []string{trap}, text: outside, wasm: does(func(g *guest) *code {
			return instr().I32(1).I32(0).I32(0).I32(-8).I32(16).Append(g.call("fail")).I32(1)
		})},
	}
	for n, want := range map[uint32]string{0: failed, 2: badInput, 3: "guest: panic", 4: "guest: bad output", 5: failed, 6: failed, 99: failed, 1<<32 - 1: failed} {
		all = append(all, specimen{name: fmt.Sprintf("code %d", n), want: []string{want}, wasm: does(func(g *guest) *code {
			return forgedFail(g, int32(n)).I32(1)
		})})
	}
	return append(all, specimen{name: "stderr and a trap", want: []string{trap}, wasm: does(func(g *guest) *code {
		return printed(g, 2, "panic: "+evil+"\n"+evil).Unreachable()
	}, "fd_write")})
}

// printed writes a text to a standard stream.
func printed(g *guest, fd int32, text string) *code {
	const vector = 1024
	at := textAt + len(g.text)
	g.text = append(g.text, text...)
	return instr().
		I32(vector).I32(int32(at)).Store(0).
		I32(vector).I32(int32(len(text))).Store(4).
		I32(fd).I32(vector).I32(1).I32(512).Append(g.call("fd_write")).Drop()
}

// floods write more than they may.
func floods() []specimen {
	all := []specimen{
		{name: "output", want: []string{output}, wasm: does(func(g *guest) *code {
			return forever(instr().I32(0).I32(page).Append(g.call("output_write")))
		})},
		{name: "output, a byte each", want: []string{output, wall, cpu}, wall: limits.Wall / 4, wasm: does(func(g *guest) *code {
			return forever(instr().I32(0).I32(1).Append(g.call("output_write")))
		})},
		{name: "output at once", want: []string{output}, wasm: does(func(g *guest) *code {
			g.pages[0] = 1000
			return instr().I32(0).I32(1000 * page).Append(g.call("output_write")).I32(0)
		})},
		{name: "input of a host function", want: []string{output}, host: []string{"echo"}, wasm: does(func(g *guest) *code {
			g.pages[0] = 1000
			return instr().Append(g.str("echo")).I32(0).I32(1000 * page).Append(g.call("host_call"))
		})},
		{name: "log", want: []string{logged}, wasm: does(logFlood)},
		{name: "log of nothing", want: []string{logged}, wasm: does(func(g *guest) *code {
			return forever(instr().I32(0).I32(0).I32(0).Append(g.call("log")))
		})},
		{name: "log at once", want: []string{logged}, wasm: does(func(g *guest) *code {
			g.pages[0] = 1000
			return instr().I32(0).I32(0).I32(1000 * page).Append(g.call("log")).I32(0)
		})},
		{name: "log of every level", want: []string{ok}, wasm: does(func(g *guest) *code {
			c := instr()
			for _, level := range []int32{-1 << 31, -5, -4, 0, 1, 8, 9, 1<<31 - 1} {
				c.I32(level).Append(g.str(evil)).Append(g.call("log"))
			}
			return c.I32(0)
		})},
	}
	for fd := range int32(2) {
		fd++
		for name, text := range map[string]string{
			"": strings.Repeat("x", 50) + "\n", " of newlines": strings.Repeat("\n", 1000), " without newlines": strings.Repeat("y", 1000),
		} {
			all = append(all, specimen{name: fmt.Sprintf("stream %d%s", fd, name), want: []string{[...]string{1: stdout, 2: stderr}[fd]}, wasm: does(func(g *guest) *code {
				return forever(printed(g, fd, text))
			}, "fd_write")})
		}
		all = append(all, specimen{name: fmt.Sprintf("stream %d, evil", fd), want: []string{ok}, wasm: does(func(g *guest) *code {
			return printed(g, fd, evil+"\n"+evil).I32(0)
		}, "fd_write")})
	}
	return all
}

// many is n times the same value type.
func many(t guesttest.ValueType, n int) []guesttest.ValueType {
	types := make([]guesttest.ValueType, n)
	for i := range types {
		types[i] = t
	}
	return types
}
