package executor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/sandpool/sandpool/internal/guestabi"
)

// streamChunk is what a call gets of its input stream at a time, at most, in bytes.
const streamChunk = 1 << 20

// emptyReads is how often in a row a reader may return nothing, not even an error.
const emptyReads = 100

// Streams are what a call reads and writes while it runs, besides its input and its
// result, for data that is not to be in memory as a whole. The guest asks for each piece
// and waits for it, so that neither side runs ahead of the other: guest.InputStream and
// guest.OutputStream in Go, the host functions sandpool.read and sandpool.write of
// guest/ABI.md in other languages. Neither counts against Limits.Input and Limits.Output,
// which bound one piece; waiting for them counts as the call's time.
//
// The zero value has no streams: the guest finds the input at its end and cannot write.
type Streams struct {
	Input  io.Reader
	Output io.Writer
}

// SubmitStream is [Submit] for a call with streams. Both are used by a goroutine of the
// executor, one read or write at a time, from the call's beginning to its end; where the call
// ends early, for want of time or by Cancel, the last read or write may still go on then. Errors
// of theirs reach the guest as text.
//
// What has been read cannot be read again: functions that are Idempotent, whose calls may
// run twice, or Pure, whose results are kept, are refused with an [*OptionError].
func SubmitStream[In, Out any](ctx context.Context, e *Executor, fn Func[In, Out], in In, s Streams) *Future[Out] {
	if fn.Idempotent || fn.Pure {
		return &Future[Out]{call: failed(&OptionError{"SubmitStream", "a call with streams cannot be Idempotent or Pure"})}
	}
	fn.streams = &callStreams{Streams: s}
	return Submit(ctx, e, fn, in)
}

// callStreams are those of one call. They belong to its host function.
type callStreams struct {
	Streams

	buf []byte
	err error // of the reader, once it has ended
}

// streamNames are granted to calls with streams, behind all others.
const streamNames = guestabi.StreamRead + hostSeparator + guestabi.StreamWrite

// grantStreams adds the names of a call's streams to those of its host functions.
func grantStreams(host string) string {
	if host == "" {
		return streamNames
	}
	return host + hostSeparator + streamNames
}

// function returns the host function of a call by that name, or nil.
func (s *callStreams) function(name string) func(context.Context, []byte) ([]byte, error) {
	switch {
	case s == nil:
		return nil
	case name == guestabi.StreamRead:
		return s.read
	case name == guestabi.StreamWrite:
		return s.write
	default:
		return nil
	}
}

// read answers with the next bytes, as many as the guest asks for at most; none are the
// end.
func (s *callStreams) read(ctx context.Context, input []byte) ([]byte, error) {
	if len(input) != 4 {
		return nil, fmt.Errorf("its input has %d bytes, a length has 4", len(input))
	}
	most := min(binary.LittleEndian.Uint32(input), streamChunk)
	if s.Input == nil || most == 0 {
		return nil, nil
	}
	if uint32(cap(s.buf)) < most {
		s.buf = make([]byte, most)
	}
	for n := 0; s.err == nil; n++ {
		if n == emptyReads {
			s.err = io.ErrNoProgress
			break
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var read int
		if read, s.err = s.Input.Read(s.buf[:most]); read > 0 {
			return s.buf[:read], nil
		}
	}
	if errors.Is(s.err, io.EOF) {
		return nil, nil
	}
	return nil, s.err
}

// write writes all of the input.
func (s *callStreams) write(_ context.Context, input []byte) ([]byte, error) {
	if s.Output == nil {
		return nil, errors.New("the call has no output stream")
	}
	n, err := s.Output.Write(input)
	if err == nil && n < len(input) {
		err = io.ErrShortWrite
	}
	return nil, err
}
