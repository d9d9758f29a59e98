package proc

import (
	"os"
	"time"
)

// Of a worker's standard error the first headSize bytes are kept, where a Go
// program says why it died, and the last tailSize bytes.
const (
	headSize = 2 << 10
	tailSize = 2 << 10
)

// gap stands for what was left out between head and tail.
const gap = "\n[…]\n"

// A tail drains a pipe and keeps its beginning and end.
type tail struct {
	r    *os.File
	head []byte // owned by the drain goroutine until done is closed, as the rest
	buf  []byte
	cut  bool          // something was left out
	done chan struct{} // closed when the drain has ended
}

// newTail starts draining r.
func newTail(r *os.File) *tail {
	t := &tail{r: r, done: make(chan struct{})}
	go t.drain() // exits at the pipe's end or at finish's deadline
	return t
}

func (t *tail) drain() {
	defer close(t.done)
	chunk := make([]byte, tailSize)
	for {
		n, err := t.r.Read(chunk)
		t.keep(chunk[:n])
		if err != nil {
			return
		}
	}
}

func (t *tail) keep(p []byte) {
	n := min(headSize-len(t.head), len(p))
	t.head = append(t.head, p[:n]...)
	t.buf = append(t.buf, p[n:]...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
		t.cut = true
	}
}

// finish waits at most patience for the pipe's end, closes it and returns what
// was kept.
func (t *tail) finish(patience time.Duration) string {
	// Pipes of os.Pipe take deadlines where the system polls them; where it does
	// not, closing below ends the read.
	_ = t.r.SetReadDeadline(time.Now().Add(patience))
	timer := time.NewTimer(2 * patience)
	defer timer.Stop()
	select {
	case <-t.done:
	case <-timer.C:
	}
	_ = t.r.Close()
	<-t.done
	if t.cut {
		return string(t.head) + gap + string(t.buf)
	}
	return string(t.head) + string(t.buf)
}
