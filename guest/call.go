package guest

import (
	"fmt"
	"math"
)

// The failure codes of ABI.md.
const (
	codeError  = 1 // the function returned an error
	codeInput  = 2 // the input or the codecs do not fit
	codePanic  = 3 // the function panicked
	codeOutput = 4 // the result cannot be encoded
)

// The codecs of ABI.md. Those in between have no meaning.
const (
	codecRaw   = 0
	codecCBOR  = 1
	codecJSON  = 2
	codecNamed = 16 // and up: the host has names for them
)

// host is what ABI.md lets a guest import. No method keeps its arguments.
type host interface {
	// inputRead fills p from the input at offset and returns the number of bytes
	// copied, fewer than len(p) only at the input's end.
	inputRead(p []byte, offset uint32) uint32
	outputWrite(p []byte)
	fail(code uint32, message, stack string)
	log(level int32, line string)
	// hostCall runs a function of the host and returns a status; hostSize and
	// hostRead are about the answer of the last one, hostRead as inputRead.
	hostCall(name string, input []byte) uint32
	hostSize() uint32
	hostRead(p []byte, offset uint32) uint32
	// codecName copies the name of a codec to p and returns its length, 0 if there is none.
	codecName(number uint32, p []byte) uint32
	// exit ends the guest.
	exit()
}

// failure is what a call that did not succeed hands to host.fail.
type failure struct {
	code           uint32
	message, stack string
}

func failf(code uint32, format string, args ...any) *failure {
	return &failure{code: code, message: fmt.Sprintf(format, args...)}
}

// call runs one function on one input and returns what sandpool_v1_call does.
func (r *registry) call(h host, index, size, codecs uint32) uint32 {
	var output []byte
	failed := r.runner.run(h, func() (failed *failure) {
		output, failed = r.serve(h, index, size, codecs)
		return failed
	})
	if failed != nil {
		h.fail(failed.code, validUTF8(failed.message), validUTF8(failed.stack))
		return 1
	}
	if len(output) > 0 {
		h.outputWrite(output)
	}
	return 0
}

// serve reads the input and runs the function.
func (r *registry) serve(h host, index, size, codecs uint32) ([]byte, *failure) {
	if uint64(index) >= uint64(len(r.functions)) {
		return nil, failf(codeInput, "no function %d: the module has %d", index, len(r.functions))
	}
	f := &r.functions[index]
	in, out, failed := f.codecs(h, codecs)
	if failed != nil {
		return nil, failed
	}
	if size > math.MaxInt32 {
		return nil, failf(codeInput, "input of %s: %d bytes are more than a Go guest can hold", f.name, size)
	}
	input := make([]byte, size)
	if size > 0 {
		if n := h.inputRead(input, 0); n != size {
			return nil, failf(codeInput, "input of %s: got %d of %d bytes", f.name, n, size)
		}
	}
	return f.run(input, in, out)
}
