package escape_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/sandpool/sandpool/internal/engine"
	"github.com/sandpool/sandpool/internal/jail"
	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/internal/ring"
	"github.com/sandpool/sandpool/internal/sandbox"
	"github.com/sandpool/sandpool/internal/wire"
)

// succeeded is what the payload answers when an attempt came to something.
const succeeded = "succeeded"

// A target is what attempts are about.
type target struct {
	Attempt  string
	Host     int    // process ids
	Victim   int    //
	Secret   string // a file of the user's
	Cache    string // the directory of compiled modules
	TCP, UDP int    // ports that somebody listens on
	Socket   string // and a socket's path
	Abstract string // and one without
	Leaked   int    // a descriptor that the host has not marked close-on-exec
}

// walls are what is left out of the sandbox, by variant.
var walls = map[string][]string{
	"none":     {sandbox.Descriptors, sandbox.Rlimits, sandbox.Memory, sandbox.NotDumpable, sandbox.Caps, sandbox.Landlock, sandbox.Seccomp},
	"landlock": {sandbox.Seccomp},
	"seccomp":  {sandbox.Landlock},
	"all":      nil,
}

// A payload is native code in a worker.
type payload struct {
	target

	in    *proc.Inherited
	r     *wire.Reader
	w     *wire.Writer
	out   io.Writer  // where frames go
	ring  *ring.Ring // nil for pipes
	id    uint64
	blobs []*os.File
}

// serve is a worker up to its first call: it shakes hands and sandboxes itself as
// workers do. Then it belongs to the attacker.
func serve(variant string) {
	in, err := proc.Inherit()
	must(err)
	p := &payload{in: in, r: wire.NewReader(in.Requests), w: wire.NewWriter(in.Replies), out: in.Replies}
	_, err = p.r.Next(wire.Limits{{Type: wire.TypeHello, Max: wire.MaxControl}})
	must(err)
	b, err := p.r.Payload(nil)
	must(err)
	var hello wire.Hello
	must(wire.Unmarshal(b, &hello))
	if hello.Ring {
		f, err := in.ReceiveBlob()
		must(err)
		p.ring, err = ring.Open(f)
		must(err)
	}
	j, err := jail.Enter(in, hello, nil, walls[variant]...)
	must(err)
	debug.SetGCPercent(-1)
	p.answer(wire.Header{Type: wire.TypeReady}, wire.Ready{Engine: engine.Version(), InForce: j.Report.InForce, Missing: j.Report.Missing, NoCache: true, Ring: hello.Ring})
	if p.ring != nil {
		p.r, p.w, p.out = wire.NewReader(p.ring), wire.NewWriter(p.ring), p.ring
	}
	for {
		h, err := p.r.Next(wire.Limits{
			{Type: wire.TypeLoad, Max: wire.MaxLoad},
			{Type: wire.TypeUnload, Max: 0},
			{Type: wire.TypeCall, Max: wire.MaxPayload},
			{Type: wire.TypeCollect, Max: 0},
		})
		if err != nil {
			return
		}
		b, err := p.r.Payload(nil)
		must(err)
		if h.Flags&wire.FlagArena != 0 {
			b, err = p.ring.Input.View(int(binary.LittleEndian.Uint64(b)))
			must(err)
		}
		switch h.Type { //nolint:exhaustive // Next lets only these through
		case wire.TypeLoad:
			for f, err := in.ReceiveBlob(); err == nil; f, err = in.ReceiveBlob() {
				p.blobs = append(p.blobs, f)
			}
			must(p.w.Write(wire.Header{Type: wire.TypeLoaded, Slot: h.Slot}))
		case wire.TypeCollect:
			must(p.w.Write(wire.Header{Type: wire.TypeCollected}))
		case wire.TypeCall:
			p.call(h.ID, b)
		}
	}
}

// call makes an attempt and says what came of it.
func (p *payload) call(id uint64, input []byte) {
	p.id = id
	must(json.Unmarshal(input, &p.target))
	if frames := lies[p.Attempt]; frames != nil {
		frames(p)
		return
	}
	text := succeeded
	if err := attempts[p.Attempt].try(p); err != nil {
		text = err.Error()
	}
	must(p.w.Write(wire.Header{Type: wire.TypeResult, ID: id}, []byte(text)))
}

func (p *payload) answer(h wire.Header, v any) {
	b, err := wire.Marshal(v)
	must(err)
	must(p.w.Write(h, b))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "payload:", err)
		os.Exit(3)
	}
}
