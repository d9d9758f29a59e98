package guest

import (
	"encoding/binary"
	"io"
	"math"
)

// The host functions of streams, by ABI.md.
const (
	streamRead  = "sandpool.read"
	streamWrite = "sandpool.write"
)

// InputStream returns the stream that the host lends to this call for reading, besides
// its input; executor.SubmitStream does so. Each Read is a call of the host, which gives 1
// MiB at most: read into large buffers, or through a bufio.Reader. A call without streams
// gets a [*HostError] that says so from Read, one with an output stream alone the end.
func InputStream() io.Reader { return stream{} }

// OutputStream returns the stream that the host lends to this call for writing, as
// [InputStream] does for reading. Each Write is a call of the host, which has the bytes
// when it returns.
func OutputStream() io.Writer { return stream{} }

// A stream reads and writes the streams of the call that runs.
type stream struct{}

func (stream) Read(p []byte) (int, error)  { return readStream(theHost, p) }
func (stream) Write(p []byte) (int, error) { return writeStream(theHost, p) }

func readStream(h host, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	var most [4]byte
	binary.LittleEndian.PutUint32(most[:], uint32(min(len(p), math.MaxInt32)))
	hostMu.Lock()
	defer hostMu.Unlock()
	if status := h.hostCall(streamRead, most[:]); status != statusOK {
		_, err := answer(h, streamRead, status)
		return 0, err
	}
	n := h.hostSize()
	switch {
	case n == 0:
		return 0, io.EOF
	case uint64(n) > uint64(len(p)):
		return 0, &HostError{Name: streamRead, Message: "more bytes than were asked for"}
	}
	return int(h.hostRead(p[:n], 0)), nil
}

func writeStream(h host, p []byte) (int, error) {
	hostMu.Lock()
	defer hostMu.Unlock()
	for at := 0; at < len(p); {
		piece := p[at:min(len(p), at+maxPiece)]
		if status := h.hostCall(streamWrite, piece); status != statusOK {
			_, err := answer(h, streamWrite, status)
			return at, err
		}
		at += len(piece)
	}
	return len(p), nil
}

// maxPiece is what is written at a time, in bytes.
const maxPiece = 1 << 20
