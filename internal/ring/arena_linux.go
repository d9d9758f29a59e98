package ring

import (
	"bytes"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Window shows the worker a piece of something longer, WindowSize bytes at most. The
// worker may read it in any order until the host is told that it does not want it any more.
type Window struct {
	*progress

	data []byte
	wait waiter // the worker's
	at   int    // what it shows; the host's, as is the next
	used int    // bytes that may take memory
}

// progress is how far a window is filled.
type progress struct {
	placed atomic.Uint64
	_      [56]byte
	reader atomic.Uint32 // futex: 1 while the worker waits for more
	_      [60]byte
}

// Put shows the beginning of p in place of what was there, and returns how much that is;
// Add is to show the rest. Between the two the worker is told what there will be. Host only.
func (w *Window) Put(p []byte) int {
	w.at = 0
	n := min(len(p), piece)
	w.show(p[:n])
	return n
}

// Add shows p behind what the window shows. Together it is WindowSize at most. Host only.
func (w *Window) Add(p []byte) {
	for len(p) > 0 {
		n := min(len(p), piece)
		w.show(p[:n])
		p = p[n:]
	}
}

func (w *Window) show(p []byte) {
	w.at += copy(w.data[w.at:], p)
	w.used = max(w.used, w.at)
	w.placed.Store(uint64(w.at))
	wake(&w.reader)
}

// ReadAt fills p with what is shown from at on. It waits for what the host is still about to show;
// that it will be enough is the caller's to know. Worker only.
func (w *Window) ReadAt(p []byte, at int) error {
	for len(p) > 0 {
		placed := int(w.placed.Load())
		if placed <= at {
			if err := w.wait.until(&w.reader, func() bool { return w.placed.Load() > uint64(at) }); err != nil {
				return err
			}
			continue
		}
		n := copy(p, w.data[at:min(placed, len(w.data))])
		at, p = at+n, p[n:]
	}
	return nil
}

// View returns the first n bytes of what is shown, when they all are. They stay for as long as the
// host lets them. Worker only.
func (w *Window) View(n int) ([]byte, error) {
	for int(w.placed.Load()) < n {
		if err := w.wait.until(&w.reader, func() bool { return int(w.placed.Load()) >= n }); err != nil {
			return nil, err
		}
	}
	return w.data[:n:n], nil
}

// Stage copies p behind what was staged before, where the host does not see it yet. It reports
// false, and does nothing, if it would have to wait for room: the host has not read the
// payload before, or there is too much. Worker only.
func (r *Ring) Stage(p []byte) bool { return r.output.stage(p) }

// Staged is how many bytes are. Worker only.
func (r *Ring) Staged() int { return r.output.staged }

// Drop forgets what was staged. Worker only.
func (r *Ring) Drop() { r.output.staged = 0 }

// Send sends a payload: what was staged, all the parts, and last, which is not empty unless there is
// nothing but what was staged. It returns when the host has read it but for the last
// WindowSize bytes. Worker only.
func (r *Ring) Send(parts [][]byte, last []byte) error {
	s := r.output
	for _, p := range parts {
		if len(p) == 0 {
			continue
		}
		s.publishStaged()
		if _, err := s.Write(p); err != nil {
			return err
		}
	}
	return s.writeLast(last)
}

// An Output is the host's side of what Send sends: one payload after another, of which the
// frames tell how long they are. It is for the goroutine of Read.
type Output struct{ r *Ring }

// Output returns it.
func (r *Ring) Output() Output { return Output{r} }

// Read reads what is there of a payload, at least one byte.
func (o Output) Read(p []byte) (int, error) {
	s := o.r.output
	at := int(s.own % s.size())
	n, err := s.Read(p)
	o.r.read = max(o.r.read, min(at+n, WindowSize))
	return n, err
}

// Buffered is how many bytes Read has at once.
func (o Output) Buffered() int {
	n, err := o.r.output.filled()
	if err != nil {
		return 0
	}
	return n
}

// Copy reads the first n bytes of a payload into new memory, which is not cleared before, if they
// are all there; else it returns nil.
func (o Output) Copy(n int) []byte {
	s := o.r.output
	if at := int(s.own % s.size()); n == 0 || at+n > len(s.data) || o.Buffered() < n {
		return nil
	}
	b := bytes.Clone(s.data[s.own%s.size():][:n])
	s.own += uint64(n)
	o.r.read = max(o.r.read, n)
	return b
}

// End ends a payload, all of which has been read.
func (o Output) End() { o.r.output.endRead() }

// Suspect notes that the worker may have staged an output that it has not sent. Host only.
func (r *Ring) Suspect() { r.read = WindowSize }

// Used is how many bytes of the arena may take memory. Host only.
func (r *Ring) Used() int { return r.Input.used + r.Answer.used + r.read }

// Release gives the arena's memory back to the system. The worker must be idle. Host only.
func (r *Ring) Release() error {
	if r.Used() == 0 {
		return nil
	}
	r.Input.used, r.Answer.used, r.read = 0, 0, 0
	return os.NewSyscallError("fallocate", unix.Fallocate(int(r.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, arenaAt, arenaParts*WindowSize))
}
