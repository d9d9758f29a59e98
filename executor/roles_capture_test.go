package executor_test

import (
	"bytes"
	"fmt"
	"os"

	"github.com/sandpool/sandpool/internal/engine"
	"github.com/sandpool/sandpool/internal/wire"
)

// onePage is the size of a memory.
const onePage = 64 << 10

// template serves as a worker that answers every call with the state of a clean
// instance, and as a template that answers a CAPTURE as answer does.
func template(answer func(w *wire.Writer, h wire.Header)) func() {
	return func() {
		in := pipes()
		r, w := wire.NewReader(in.Requests), wire.NewWriter(in.Replies)
		if _, err := r.Next(wire.Limits{{Type: wire.TypeHello, Max: wire.MaxControl}}); err != nil {
			panic(err)
		}
		if err := r.Discard(); err != nil {
			panic(err)
		}
		send(w, wire.Header{Type: wire.TypeReady}, wire.Ready{Engine: engine.Version(), NoCache: true})
		for {
			h, err := r.Next(wire.Limits{
				{Type: wire.TypeLoad, Max: wire.MaxLoad},
				{Type: wire.TypeCall, Max: wire.MaxPayload},
				{Type: wire.TypeCapture, Max: wire.MaxLoad},
				{Type: wire.TypeHostRet, Max: wire.MaxPayload},
			})
			if err != nil || r.Discard() != nil {
				return
			}
			switch h.Type { //nolint:exhaustive // Next lets only these through
			case wire.TypeLoad:
				w.Write(wire.Header{Type: wire.TypeLoaded, Slot: h.Slot}, nil)
			case wire.TypeCall:
				w.Write(result(h.ID), nil)
			case wire.TypeCapture:
				answer(w, h)
			}
		}
	}
}

func send(w *wire.Writer, h wire.Header, v any) {
	b, err := wire.Marshal(v)
	if err != nil {
		panic(err)
	}
	if err := w.Write(h, b); err != nil {
		panic(err)
	}
}

// captures is a template that has captured the image.
func captures(image wire.Image) func() {
	return template(func(w *wire.Writer, h wire.Header) {
		send(w, wire.Header{Type: wire.TypeCaptured, ID: h.ID, Slot: h.Slot}, wire.Captured{Image: image})
	})
}

// captureRoles are templates that have been taken over.
func captureRoles() map[string]func() {
	global := []uint64{1}
	return map[string]func(){
		"captureoversized":  captures(wire.Image{Size: 1<<32 - onePage, Globals: global}),
		"captureundersized": captures(wire.Image{Globals: global}),
		"captureodd":        captures(wire.Image{Size: onePage + 1, Globals: global}),
		"captureglobals":    captures(wire.Image{Size: onePage, Globals: []uint64{1, 2}}),
		"capturerandom":     captures(wire.Image{Size: onePage, Globals: global, Random: []uint32{onePage - 8}}),
		"captureunaligned":  captures(wire.Image{Size: onePage, Globals: global, Random: []uint32{4}}),
		"captureoverlap":    captures(wire.Image{Size: onePage, Globals: global, Random: []uint32{0, 8}}),
		"captureframes": template(func(w *wire.Writer, h wire.Header) {
			w.Write(wire.Header{Type: wire.TypeImage, ID: h.ID, Slot: h.Slot, Code: 1 << 20}, make([]byte, wire.ImagePage))
		}),
		"capturehostcall": template(func(w *wire.Writer, h wire.Header) { w.Write(hostCall(h.ID, wire.HostFirst), nil) }),
		"capturelogs": template(func(w *wire.Writer, h wire.Header) {
			w.Write(hostCall(h.ID, wire.HostLog), bytes.Repeat([]byte("x"), 2000))
		}),
		"capturegarbage": template(func(w *wire.Writer, h wire.Header) {
			w.Write(wire.Header{Type: wire.TypeCaptured, ID: h.ID}, []byte("garbage"))
		}),
		"captureunfit": template(func(w *wire.Writer, h wire.Header) {
			send(w, wire.Header{Type: wire.TypeCaptured, ID: h.ID}, wire.Captured{Unfit: "because \x1b[31m"})
		}),
		"captureexits": template(func(*wire.Writer, wire.Header) { fmt.Fprintln(os.Stderr, "no more"); os.Exit(3) }),
	}
}
