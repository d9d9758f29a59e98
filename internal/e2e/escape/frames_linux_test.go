package escape_test

import (
	"bytes"
	"encoding/binary"
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
	"a result of 4 GiB in the arena": func(p *payload) { p.inArena(1 << 32) },
	"a result beyond the arena":      func(p *payload) { p.inArena(1<<64 - 1) },
	"a result beyond limit there":    func(p *payload) { p.inArena(2 << 20) },
	"a result there without a length": func(p *payload) {
		h := p.result(p.id)
		h.Flags = wire.FlagArena
		p.write(h, []byte("text"))
	},
	"half a frame": func(p *payload) {
		p.raw(100, 0, 0, 0, wire.Version, byte(wire.TypeResult), 0, 0, byte(p.id))
		os.Exit(0)
	},
}

// inArena says that there are n bytes.
func (p *payload) inArena(n uint64) {
	h := p.result(p.id)
	h.Flags = wire.FlagArena
	p.write(h, binary.LittleEndian.AppendUint64(nil, n))
}

func (p *payload) result(id uint64) wire.Header { return wire.Header{Type: wire.TypeResult, ID: id} }

func (p *payload) write(h wire.Header, b []byte) { _ = p.w.Write(h, b) } // the host may be gone already

// raw writes bytes, at least a header's.
func (p *payload) raw(b ...byte) {
	_, _ = p.out.Write(append(b, make([]byte, max(0, wire.HeaderSize-len(b)))...))
}
