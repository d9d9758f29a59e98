package proc

import (
	"os"
	"time"
)

// tailSize is how much of a worker's standard error is kept, in bytes.
const tailSize = 4 << 10

// A tail drains a pipe and keeps its last tailSize bytes.
type tail struct {
	r    *os.File
	buf  []byte        // owned by the drain goroutine until done is closed
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
		t.buf = append(t.buf, chunk[:n]...)
		if over := len(t.buf) - tailSize; over > 0 {
			t.buf = append(t.buf[:0], t.buf[over:]...)
		}
		if err != nil {
			return
		}
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
	return string(t.buf)
}
