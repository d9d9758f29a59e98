package guest

import (
	"fmt"
	"math"
	"sync"
)

// What host_call returns, by ABI.md.
const (
	statusOK      = 0
	statusMissing = 2 // any other one is a failure of the host function
)

// A HostError is why [CallHost] has no output: the host function failed, or this
// guest has none of that name.
type HostError struct {
	Name    string // the host function
	Message string // the text of its error; where it is missing, the host's reason
	Missing bool   // the host has no such function, or has not granted it to this guest
}

// Error returns the message, with the function's name in front when the function
// itself has failed.
func (e *HostError) Error() string {
	if e.Missing {
		return e.Message
	}
	return fmt.Sprintf("host function %q: %s", e.Name, e.Message)
}

// CallHost runs a function of the host's on the input and returns its output.
// What names there are, and what their bytes mean, is between the host and this
// guest: a host grants each function of a guest the names that it may call, and no
// other. The input is not kept, the output is the caller's.
//
// The error is a [*HostError] when the host function failed or is not granted. An
// input longer than the output that this call may have ends the call.
//
// The whole instance stands still until the host has answered; that counts as
// time of the call. CallHost may be called from any goroutine, and also by what
// the host runs as an initializer. In a program that is not a guest, such as a unit
// test, every name is missing.
func CallHost(name string, input []byte) ([]byte, error) {
	return callHost(theHost, name, input)
}

// hostMu makes a call and the reading of its answer one: a goroutine that is
// allocating in between can lose its turn to another one.
var hostMu sync.Mutex

func callHost(h host, name string, input []byte) ([]byte, error) {
	hostMu.Lock()
	defer hostMu.Unlock()
	return answer(h, name, h.hostCall(name, input))
}

// answer reads what a host function has answered.
func answer(h host, name string, status uint32) ([]byte, error) {
	size := h.hostSize()
	if size > math.MaxInt32 {
		return nil, fmt.Errorf("answer of host function %q: %d bytes are more than a Go guest can hold", name, size)
	}
	answer := make([]byte, size)
	if size > 0 {
		if n := h.hostRead(answer, 0); n != size {
			return nil, fmt.Errorf("answer of host function %q: got %d of %d bytes", name, n, size)
		}
	}
	if status == statusOK {
		return answer, nil
	}
	return nil, &HostError{Name: name, Message: validUTF8(string(answer)), Missing: status == statusMissing}
}
