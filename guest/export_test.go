package guest

import (
	"log/slog"
	"testing"
)

func init() { nameCodec = codecByName } // as a guest with a codec of its own

// Registry is a list of functions.
type Registry = registry

// NewRegistry lets a test have its own functions. Calls may not be concurrent.
func NewRegistry(tb testing.TB) *Registry {
	tb.Helper()
	return new(Registry)
}

// RegisterIn is Register for r.
func RegisterIn[In, Out any](r *Registry, name string, fn func(In) (Out, error)) {
	r.add(newFunction(name, fn))
}

// FakeHost is a host in memory. Short makes InputRead return less.
type FakeHost struct {
	Input   []byte
	Short   bool
	Writes  [][]byte
	Code    uint32
	Message string
	Stack   string
	Exited  bool // the guest has ended
	Lines   []string
	Levels  []int32

	Answer func(name string, input []byte) (status uint32, answer []byte) // of host functions
	Lost   bool                                                           // the answer is gone when it is read
	Size   uint32                                                         // said instead of the answer's, if not 0

	Codecs map[uint32]string // names of codecs by number

	answer []byte
}

func (h *FakeHost) inputRead(p []byte, offset uint32) uint32 {
	n := copy(p, h.Input[offset:])
	if h.Short {
		n--
	}
	return uint32(n)
}

func (h *FakeHost) outputWrite(p []byte) { h.Writes = append(h.Writes, append([]byte{}, p...)) }

func (h *FakeHost) fail(code uint32, message, stack string) {
	h.Code, h.Message, h.Stack = code, message, stack
}

func (h *FakeHost) log(level int32, line string) {
	h.Levels, h.Lines = append(h.Levels, level), append(h.Lines, line)
}

func (h *FakeHost) hostCall(name string, input []byte) (status uint32) {
	status, h.answer = h.Answer(name, input)
	return status
}

func (h *FakeHost) hostSize() uint32 {
	if h.Size > 0 {
		return h.Size
	}
	return uint32(len(h.answer))
}

func (h *FakeHost) hostRead(p []byte, offset uint32) uint32 {
	if h.Lost {
		return 0
	}
	return uint32(copy(p, h.answer[offset:]))
}

func (h *FakeHost) codecName(number uint32, p []byte) uint32 {
	copy(p, h.Codecs[number])
	return uint32(len(h.Codecs[number]))
}

// CallHost is the package's CallHost on this host.
func (h *FakeHost) CallHost(name string, input []byte) ([]byte, error) {
	return callHost(h, name, input)
}

// CallTyped is what a HostFunc does, on this host.
func CallTyped[In, Out any](h *FakeHost, name string, in In) (Out, error) {
	return callTyped[In, Out](h, name, in)
}

// NeedIn is HostFunc's declaration, for r.
func NeedIn[In, Out any](r *Registry, name string) { r.needs(newNeed[In, Out](name)) }

// Call runs a function of r as the export does.
func (h *FakeHost) Call(r *Registry, index, codecs uint32) uint32 {
	return h.CallSized(r, index, uint32(len(h.Input)), codecs)
}

// CallSized is Call with a size that is not the input's. It returns 1 when the guest has
// ended instead.
func (h *FakeHost) CallSized(r *Registry, index, size, codecs uint32) (result uint32) {
	result = 1
	done := make(chan struct{})
	go func() { // until the call ends, or its goroutine
		defer close(done)
		result = r.call(h, index, size, codecs)
	}()
	<-done
	return result
}

func (h *FakeHost) exit() { h.Exited = true }

// Describe runs the other export.
func (h *FakeHost) Describe(r *Registry) uint32 { return r.start().describe(h) }

// LogHandler is the package's LogHandler for this host.
func (h *FakeHost) LogHandler() slog.Handler { return newLogHandler(h) }

// ReadStream is Read of InputStream on this host.
func (h *FakeHost) ReadStream(p []byte) (int, error) { return readStream(h, p) }

// WriteStream is Write of OutputStream on this host.
func (h *FakeHost) WriteStream(p []byte) (int, error) { return writeStream(h, p) }
