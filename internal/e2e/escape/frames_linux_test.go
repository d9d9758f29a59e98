package escape_test

import (
	"bytes"
	"os"

	"github.com/sandpool/sandpool/internal/wire"
)

// lies are what a worker that has been taken over may tell its host. The roles of
// package executor's tests have more of them, frame by frame.
var lies = map[string]func(p *payload){
	"answer a call that is another's": func(p *payload) { p.write(p.result(p.id+1), nil) },
	"answer a call twice": func(p *payload) {
		p.write(p.result(p.id), []byte("one"))
		p.write(p.result(p.id), []byte("two"))
	},
	"promise 4 GiB":       func(p *payload) { p.raw(0xff, 0xff, 0xff, 0xff, wire.Version, byte(wire.TypeResult)) },
	"answer beyond limit": func(p *payload) { p.write(p.result(p.id), make([]byte, 2<<20)) },
	"no frame at all":     func(p *payload) { p.raw(bytes.Repeat([]byte("garbage "), 100)...) },
	"another version":     func(p *payload) { p.raw(0, 0, 0, 0, 99, byte(wire.TypeResult)) },
	"a failure that is no CBOR": func(p *payload) {
		p.write(wire.Header{Type: wire.TypeFail, ID: p.id, Code: wire.KindGuest}, []byte("\xff\xff"))
	},
	"a host function that was not granted": func(p *payload) { p.write(wire.Header{Type: wire.TypeHostCall, ID: p.id, Slot: 77}, nil) },
	"revoked without being asked":          func(p *payload) { p.write(wire.Header{Type: wire.TypeRevoked, ID: p.id, Code: 9}, nil) },
	"an image nobody asked for": func(p *payload) {
		p.write(wire.Header{Type: wire.TypeImage, ID: p.id, Code: 1 << 30}, make([]byte, 4096))
	},
	"a result of 4 GiB in the arena": func(p *payload) { p.inArena(wire.TypeResult, 1<<32-1) },
	"a result beyond limit there":    func(p *payload) { p.inArena(wire.TypeResult, 2<<20) },
	"an output beyond limit there":   func(p *payload) { p.inArena(wire.TypeOutput, 2<<20) },
	"outputs beyond limit together": func(p *payload) {
		for range 3 {
			p.inArena(wire.TypeOutput, 600<<10)
			if p.ring.Send(nil, make([]byte, 600<<10)) != nil {
				return
			}
		}
	},
	"an output that is not in the arena": func(p *payload) {
		p.write(wire.Header{Type: wire.TypeOutput, ID: p.id}, []byte("text"))
	},
	"be shown what is not there": func(p *payload) {
		p.write(wire.Header{Type: wire.TypeHostCall, ID: p.id, Slot: wire.HostShow, Time: 1 << 40}, nil)
	},
	"be shown an answer to nothing": func(p *payload) {
		p.write(wire.Header{Type: wire.TypeHostCall, ID: p.id, Slot: wire.HostShow, Code: wire.ShowAnswer}, nil)
	},
	"half a frame": func(p *payload) {
		p.raw(100, 0, 0, 0, wire.Version, byte(wire.TypeResult), 0, 0, byte(p.id))
		os.Exit(0)
	},
}

// inArena says that there is a payload of n bytes.
func (p *payload) inArena(t wire.Type, n uint32) {
	_ = p.w.WriteHeader(wire.Header{Type: t, ID: p.id, Flags: wire.FlagArena, Length: n})
}

func (p *payload) result(id uint64) wire.Header { return wire.Header{Type: wire.TypeResult, ID: id} }

func (p *payload) write(h wire.Header, b []byte) { _ = p.w.Write(h, b) } // the host may be gone already

// raw writes bytes, at least a header's.
func (p *payload) raw(b ...byte) {
	_, _ = p.out.Write(append(b, make([]byte, max(0, wire.HeaderSize-len(b)))...))
}
