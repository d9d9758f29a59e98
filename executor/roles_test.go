package executor_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sandpool/sandpool/internal/engine"
	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/internal/wire"
)

// roles are what the test binary does instead of serving, as a worker that is
// broken or taken over would. They run in a process of their own.
var roles = map[string]func(){
	"silent":    func() { time.Sleep(time.Hour) },
	"exits":     func() { fmt.Fprintln(os.Stderr, "no license for this worker"); os.Exit(7) },
	"garbage":   func() { answersHello(bytes.Repeat([]byte("garbage "), 100)) },
	"version":   func() { answersHello([]byte{0, 0, 0, 0, 99, 0x81, 31: 0}) },
	"engine":    func() { ready(pipes(), "v0.0.1") },
	"hugeready": func() { answersHello([]byte{0xff, 0xff, 0xff, 0xff, wire.Version, 0x81, 31: 0}) },
	"wrongcall": func() { takeover(func(w *wire.Writer, h wire.Header) { w.Write(result(h.ID+1), nil) }) },
	"twice": func() {
		takeover(func(w *wire.Writer, h wire.Header) { w.Write(result(h.ID), nil); w.Write(result(h.ID), nil) })
	},
	"oversize":   func() { takeover(func(w *wire.Writer, h wire.Header) { w.Write(result(h.ID), make([]byte, 2<<20)) }) },
	"badfailure": func() { takeover(func(w *wire.Writer, h wire.Header) { w.Write(fail(h.ID), []byte("not cbor")) }) },
	"badlimit": func() {
		takeover(func(w *wire.Writer, h wire.Header) {
			b, _ := wire.Marshal(wire.Failure{Limit: "patience\x1b[31m"}) // which is constant
			head := fail(h.ID)
			head.Code = wire.KindLimit
			w.Write(head, b)
		})
	},
	"hostcall": func() { takeover(func(w *wire.Writer, h wire.Header) { w.Write(hostCall(h.ID, 77), nil) }) },
	"leaks": func() {
		takeover(func(w *wire.Writer, h wire.Header) {
			kept = append(kept, bytes.Repeat([]byte{1}, 8<<20))
			w.Write(result(h.ID), nil)
		})
	},
	"uncollected": func() {
		uncollected = true
		takeover(func(w *wire.Writer, h wire.Header) {
			if h.Type == wire.TypeCollect {
				os.Exit(9)
			}
			w.Write(result(h.ID), nil)
		})
	},
	"revokes": func() {
		fourth(func(_ *proc.Inherited, w *wire.Writer, h wire.Header) {
			w.Write(wire.Header{Type: wire.TypeRevoked, ID: h.ID, Code: 1}, nil)
		})
	},
	"wrongrange": func() {
		fourth(func(in *proc.Inherited, w *wire.Writer, h wire.Header) {
			asked := make(chan wire.Header, 1)
			go func() {
				if h, err := wire.NewReader(in.Control).Next(wire.Limits{{Type: wire.TypeRevoke, Max: 0}}); err == nil {
					asked <- h
				}
			}()
			select {
			case r := <-asked:
				w.Write(wire.Header{Type: wire.TypeRevoked, ID: r.ID, Code: r.Code + 1}, nil)
			case <-time.After(300 * time.Millisecond): // there is nothing behind the call
				w.Write(result(h.ID), nil)
			}
		})
	},
	"answersahead": func() {
		fourth(func(_ *proc.Inherited, w *wire.Writer, h wire.Header) { w.Write(result(h.ID+1), nil) })
	},
	"hostflood": func() {
		takeover(func(w *wire.Writer, h wire.Header) {
			for range 20 { // more than the call may make, less than fills a pipe with answers
				if w.Write(hostCall(h.ID, wire.HostFirst), nil) != nil {
					return
				}
			}
			select {} // until it is killed: its end would be another failure
		})
	},
	"dropsfirst":  dropsFirst,
	"unstoppable": func() { takeover(func(*wire.Writer, wire.Header) { select {} }) },
	"deaf":        func() { ready(pipes(), engine.Version()) },
	"logflood": func() {
		takeover(func(w *wire.Writer, h wire.Header) {
			for {
				if w.Write(hostCall(h.ID, wire.HostLog), make([]byte, 60<<10)) != nil {
					return
				}
			}
		})
	},
}

var (
	kept        [][]byte // what the worker of a role does not free
	uncollected bool     // the role has an answer of its own to COLLECT
)

func result(id uint64) wire.Header { return wire.Header{Type: wire.TypeResult, ID: id} }

func fail(id uint64) wire.Header {
	return wire.Header{Type: wire.TypeFail, ID: id, Code: wire.KindGuest}
}

func hostCall(id uint64, function uint32) wire.Header {
	return wire.Header{Type: wire.TypeHostCall, ID: id, Slot: function}
}

// fourth serves three calls, and then as answer says.
func fourth(answer func(in *proc.Inherited, w *wire.Writer, h wire.Header)) {
	in := pipes()
	takeoverOf(in, func(w *wire.Writer, h wire.Header) {
		if h.ID < 4 {
			w.Write(result(h.ID), nil)
			return
		}
		answer(in, w, h)
	})
}

func pipes() *proc.Inherited {
	in, err := proc.Inherit()
	if err != nil {
		panic(err)
	}
	return in
}

// answersHello reads a HELLO, which the host could not write to a process that is gone,
// answers with some bytes and exits.
func answersHello(b []byte) {
	in := pipes()
	r := wire.NewReader(in.Requests)
	if _, err := r.Next(wire.Limits{{Type: wire.TypeHello, Max: wire.MaxControl}}); err != nil {
		panic(err)
	}
	if err := r.Discard(); err != nil {
		panic(err)
	}
	in.Replies.Write(b)
}

// ready answers a HELLO.
func ready(in *proc.Inherited, version string) (*wire.Reader, *wire.Writer) {
	r, w := wire.NewReader(in.Requests), wire.NewWriter(in.Replies)
	if _, err := r.Next(wire.Limits{{Type: wire.TypeHello, Max: wire.MaxControl}}); err != nil {
		panic(err)
	}
	if err := r.Discard(); err != nil {
		panic(err)
	}
	b, err := wire.Marshal(wire.Ready{Engine: version})
	if err != nil {
		panic(err)
	}
	if err := w.Write(wire.Header{Type: wire.TypeReady}, b); err != nil {
		panic(err)
	}
	return r, w
}

// takeover behaves until the first call, and then as answer says.
func takeover(answer func(w *wire.Writer, h wire.Header)) { takeoverOf(pipes(), answer) }

func takeoverOf(in *proc.Inherited, answer func(w *wire.Writer, h wire.Header)) {
	r, w := ready(in, engine.Version())
	for {
		h, err := r.Next(wire.Limits{{Type: wire.TypeLoad, Max: wire.MaxControl}, {Type: wire.TypeCall, Max: wire.MaxPayload}, {Type: wire.TypeCollect, Max: 0}})
		if err != nil {
			return
		}
		if err := r.Discard(); err != nil {
			return
		}
		if h.Type == wire.TypeLoad {
			w.Write(wire.Header{Type: wire.TypeLoaded, Slot: h.Slot}, nil)
			continue
		}
		if h.Type == wire.TypeCollect && !uncollected {
			w.Write(wire.Header{Type: wire.TypeCollected}, nil)
			continue
		}
		answer(w, h)
	}
}

var used struct {
	mu    sync.Mutex // guards roles
	roles []string
}

func useRole(role string) {
	if roles[role] == nil {
		panic("no role " + role)
	}
	used.mu.Lock()
	defer used.mu.Unlock()
	used.roles = append(used.roles, role)
}

func unusedRoles() []string {
	var missing []string
	for role := range roles {
		if !slices.Contains(used.roles, role) {
			missing = append(missing, role)
		}
	}
	return missing
}

// filtered reports whether this run leaves tests out.
func filtered() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.bench", "test.fuzz"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return true
		}
	}
	return false
}
