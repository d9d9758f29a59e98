package ring

import (
	"errors"
	"io"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A control block is what the two sides of a stream tell each other. Each field has a
// cache line of its own.
type control struct {
	head   atomic.Uint64 // bytes written since the beginning; the writer's
	_      [56]byte
	tail   atomic.Uint64 // bytes read; the reader's
	_      [56]byte
	reader atomic.Uint32 // futex: 1 while the reader waits for bytes
	_      [60]byte
	writer atomic.Uint32 // futex: 1 while the writer waits for room
	_      [60]byte
}

// A stream is one side's end of a stream. It is for one goroutine, but for hangup.
type stream struct {
	*control

	data []byte // a power of two of bytes
	peer uint64 // the other side's position as it was last: it never goes back
	own  uint64 // this side's position: what the shared memory says of it counts for nobody here
	wait waiter

	quiet  bool // nobody is woken by Write, unless it has to wait
	staged int  // bytes behind own that the other side does not know of
}

func (s *stream) size() uint64 { return uint64(len(s.data)) }

// Read reads what is there, at least one byte.
func (s *stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := s.filled()
	for ; n == 0 && err == nil; n, err = s.filled() {
		if err := s.wait.until(&s.reader, func() bool { return s.head.Load() != s.own }); err != nil {
			if n, corrupt := s.filled(); n > 0 || corrupt != nil {
				continue // it came with the end
			}
			return 0, err
		}
	}
	if err != nil {
		return 0, err
	}
	n = min(n, len(p))
	at := int(s.own % s.size())
	first := copy(p[:n], s.data[at:])
	copy(p[first:n], s.data)
	s.own += uint64(n)
	s.tail.Store(s.own)
	wake(&s.writer)
	return n, nil
}

// filled is how many bytes there are to read.
func (s *stream) filled() (int, error) {
	head := s.head.Load()
	n := head - s.own
	if n > s.size() || n < s.peer-s.own && s.peer-s.own <= s.size() {
		return 0, ErrCorrupt
	}
	s.peer = head
	return int(n), nil
}

// Write writes all of p. It returns when the last byte is in the stream.
func (s *stream) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		free, err := s.room(1)
		if err != nil {
			return written, err
		}
		n := min(free, len(p), piece)
		s.copyIn(s.own, p[:n])
		s.publish(n)
		p, written = p[n:], written+n
	}
	return written, nil
}

// room waits until there is room for least bytes, and returns how much there is.
func (s *stream) room(least int) (int, error) {
	for {
		free, err := s.free()
		switch {
		case err != nil:
			return 0, err
		case s.wait.gone.Load():
			return 0, syscall.EPIPE
		case free >= least:
			return free, nil
		}
		wake(&s.reader)
		tail := s.peer
		if err := s.wait.until(&s.writer, func() bool { return s.tail.Load() != tail }); err == io.EOF { //nolint:errorlint // until returns a bare io.EOF
			return 0, syscall.EPIPE
		} else if err != nil {
			return 0, err
		}
	}
}

// copyIn copies p to a position.
func (s *stream) copyIn(at uint64, p []byte) {
	first := copy(s.data[at%s.size():], p)
	copy(s.data, p[first:])
}

// publish tells the reader of n bytes more.
func (s *stream) publish(n int) {
	s.own += uint64(n)
	s.head.Store(s.own)
	if !s.quiet {
		wake(&s.reader)
	}
}

// stage copies p behind what has been staged before, where the reader does not see it yet. It
// reports false, and does nothing, where that would have to wait for room.
func (s *stream) stage(p []byte) bool {
	free, err := s.free()
	if err != nil || free-s.staged < len(p) {
		return false
	}
	s.copyIn(s.own+uint64(s.staged), p)
	s.staged += len(p)
	return true
}

// A stream may be used for one payload after another, each of which begins where the
// stream's memory does, so that short ones use little of it. What is left behind its end counts as
// written together with its last byte, and as read when all has been.

// writeLast is Write for the end of a payload: what is staged, or p behind it.
func (s *stream) writeLast(p []byte) error {
	if len(p) > 0 {
		s.publishStaged()
	}
	end := s.own + uint64(s.staged+len(p))
	if end == s.own {
		return nil
	}
	if len(p) > 0 { // all but a last piece, which lies in one lap
		last := max(s.own, (end-1)&^(s.size()-1))
		if len(p) > piece {
			last = max(last, end-piece)
		}
		n, err := s.Write(p[:last-s.own])
		if err != nil {
			return err
		}
		p = p[n:]
	}
	all := int(s.next(end) - s.own)
	if _, err := s.room(all); err != nil {
		return err
	}
	s.copyIn(s.own, p)
	s.staged = 0
	s.publish(all)
	return nil
}

func (s *stream) publishStaged() {
	n := s.staged
	s.staged = 0
	s.publish(n)
}

// endRead ends the reading of a payload.
func (s *stream) endRead() {
	s.own = s.next(s.own)
	s.tail.Store(s.own)
	wake(&s.writer)
}

// next is the next position that is a multiple of the size.
func (s *stream) next(at uint64) uint64 { return (at + s.size() - 1) &^ (s.size() - 1) }

// free is how much room there is.
func (s *stream) free() (int, error) {
	tail := s.tail.Load()
	used := s.own - tail
	if used > s.size() || used > s.own-s.peer {
		return 0, ErrCorrupt
	}
	s.peer = tail
	return int(s.size() - used), nil
}

// hangup ends all waits, now and in time to come. Any goroutine may call it.
func (s *stream) hangup() {
	s.wait.gone.Store(true)
	for _, w := range []*atomic.Uint32{&s.reader, &s.writer} {
		w.Store(0)
		futexWake(w)
	}
}

// A waiter waits for the other side.
type waiter struct {
	gone  atomic.Bool    // the other side is
	most  time.Duration  // between two looks, whoever says what
	calm  bool           // it is in no hurry: it sleeps at once
	crowd *crowd         // of a host's waits; nil in a worker
	hint  *atomic.Uint32 // of a worker: 0 says that there is no processor to spin on
	spin  spin
}

// rude is how often in a row a wait may end for no reason before the other side is taken
// for broken: whoever writes to the futex all the time would keep this side busy.
const rude = 1000

// until returns when ready is true, io.EOF when the other side is gone.
func (w *waiter) until(futex *atomic.Uint32, ready func() bool) error {
	if w.crowd != nil {
		w.crowd.waits.Add(1)
		defer w.crowd.waits.Add(-1)
	}
	if !w.calm && w.spins(ready) {
		return nil
	}
	return w.sleep(futex, ready, nil)
}

// errInterrupted reports that a sleep was called off.
var errInterrupted = errors.New("ring: interrupted")

// sleep is until by the futex alone. It returns errInterrupted when stop is set; who does
// that wakes the futex.
func (w *waiter) sleep(futex *atomic.Uint32, ready func() bool, stop *atomic.Bool) error {
	for n := 0; ; n++ {
		futex.Store(1)
		switch {
		case ready():
			futex.Store(0)
			return nil
		case w.gone.Load():
			return io.EOF
		case stop != nil && stop.Load():
			return errInterrupted
		}
		if n == rude {
			return ErrCorrupt
		}
		if errno := futexWait(futex, 1, w.most); errno == syscall.ETIMEDOUT || errno == syscall.EINTR {
			n = 0
		}
	}
}

// spins waits without giving the processor away, if that promises to be short, and
// reports whether it has been.
func (w *waiter) spins(ready func() bool) bool {
	if w.crowd == nil {
		return w.hint.Load() != 0 && w.spin.until(ready)
	}
	if !w.crowd.enter() {
		return false
	}
	defer w.crowd.leave()
	return w.spin.until(ready)
}

// wake wakes the other side if it waits.
func wake(w *atomic.Uint32) {
	if w.Load() != 0 && w.Swap(0) != 0 {
		futexWake(w)
	}
}

// Futex operations. Not the private ones: two processes share the word.
const (
	opWait = 0
	opWake = 1
)

func futexWait(w *atomic.Uint32, value uint32, most time.Duration) syscall.Errno {
	ts := unix.NsecToTimespec(int64(most))
	_, _, errno := syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(w)), opWait, uintptr(value), uintptr(unsafe.Pointer(&ts)), 0, 0)
	return errno
}

func futexWake(w *atomic.Uint32) {
	_, _, _ = syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(w)), opWake, 1, 0, 0, 0)
}
