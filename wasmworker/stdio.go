package wasmworker

import (
	"bytes"

	"github.com/sandpool/sandpool/internal/wire"
)

// lines is a guest's standard output or error: each line becomes a log line of
// the host's, and the last few KiB are kept for a failure's text.
type lines struct {
	s      *server
	stream uint16
	part   []byte // a line without its end yet; never longer than wire.MaxLogLine
	last   []byte // the last maxStderr bytes written to standard error
}

// Write implements io.Writer for the engine. It ends the call when the guest has
// used up its log limit.
func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	if l.stream == wire.StreamStderr {
		l.keep(p)
	}
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		room := wire.MaxLogLine - len(l.part)
		switch {
		case end >= 0 && end <= room:
			l.part = append(l.part, p[:end]...)
			p = p[end+1:]
		case len(p) > room:
			l.part = append(l.part, p[:room]...)
			p = p[room:]
		default:
			l.part = append(l.part, p...)
			return n, nil
		}
		l.emit()
	}
	return n, nil
}

// reset forgets what an earlier call has printed.
func (l *lines) reset() { l.part, l.last = l.part[:0], l.last[:0] }

// flush hands on the last line when its end is missing.
func (l *lines) flush() {
	if len(l.part) > 0 {
		l.emit()
	}
}

// emit hands on a line, empty ones too.
func (l *lines) emit() {
	line := l.part
	l.part = l.part[:0]
	l.s.log(levelInfo, l.stream, line)
}

func (l *lines) keep(p []byte) {
	if over := len(p) - maxStderr; over > 0 {
		p = p[over:]
	}
	l.last = append(l.last, p...)
	if over := len(l.last) - maxStderr; over > 0 {
		l.last = append(l.last[:0], l.last[over:]...)
	}
}

func (l *lines) tail() string { return string(l.last) }
