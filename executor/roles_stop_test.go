package executor_test

import (
	"sync"

	"github.com/sandpool/sandpool/internal/wire"
)

// A dropper is a worker that does not begin calls with an input: it waits until they are
// taken back. Once it has been told to end one, it says of the next that it has.
type dropper struct {
	mu      sync.Mutex // guards the fields below
	changed *sync.Cond // of mu
	out     *wire.Writer
	begun   uint64 // the last call that is not waited for
	dropped map[uint64]bool
	stopped bool
}

func dropsFirst() {
	in := pipes()
	d := &dropper{dropped: make(map[uint64]bool)}
	d.changed = sync.NewCond(&d.mu)
	go d.control(wire.NewReader(in.Control)) // until the process ends
	takeoverOf(in, d.call)
}

// control answers what the host asks beside calls.
func (d *dropper) control(r *wire.Reader) {
	for {
		h, err := r.Next(wire.Limits{{Type: wire.TypeRevoke, Max: 0}, {Type: wire.TypeStop, Max: 0}})
		if err != nil {
			return
		}
		d.mu.Lock()
		for d.out == nil {
			d.changed.Wait()
		}
		if h.Type == wire.TypeStop {
			d.stopped = true
		} else {
			end := h.ID + uint64(h.Code)
			from := min(max(h.ID, d.begun+1), end)
			for id := from; id < end; id++ {
				d.dropped[id] = true
			}
			d.out.Write(wire.Header{Type: wire.TypeRevoked, ID: from, Code: uint32(end - from)}, nil)
		}
		d.changed.Broadcast()
		d.mu.Unlock()
	}
}

// call answers a call, or waits until it is dropped; a host that does not ask for that
// ends the process.
func (d *dropper) call(w *wire.Writer, h wire.Header) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.out = w
	d.changed.Broadcast()
	for h.Length > 0 && !d.dropped[h.ID] {
		d.changed.Wait()
	}
	if d.dropped[h.ID] {
		return
	}
	d.begun = h.ID
	if !d.stopped {
		w.Write(result(h.ID), nil)
		return
	}
	b, err := wire.Marshal(wire.Failure{})
	if err != nil {
		panic(err)
	}
	w.Write(wire.Header{Type: wire.TypeFail, ID: h.ID, Code: wire.KindStopped}, b)
}
