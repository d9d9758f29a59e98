package proc

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Inherited are a worker's ends of its pipes.
type Inherited struct {
	Requests *os.File // worker reads
	Replies  *os.File // worker writes
	Control  *os.File // worker reads at any time; its end asks the worker to exit
	Blobs    *os.File // descriptor channel; nil where there is none
}

// Inherit opens what Marker's value names and checks that each is what a host
// would have passed: a marker that leaked into some other environment must not
// make a program read and write strangers' files.
func Inherit() (*Inherited, error) {
	value := os.Getenv(Marker)
	fields := strings.Split(value, ",")
	if len(fields) < 3 || len(fields) > 4 {
		return nil, fmt.Errorf("%s=%q does not list a worker's descriptors", Marker, value)
	}
	handles := make([]uintptr, len(fields))
	for i, field := range fields {
		n, err := strconv.ParseUint(field, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("%s=%q: %w", Marker, value, err)
		}
		if n <= 2 || slices.Contains(handles, uintptr(n)) {
			return nil, fmt.Errorf("%s=%q: descriptor %d cannot be one of them", Marker, value, n)
		}
		if err := checkInherited(uintptr(n), i == 3); err != nil {
			return nil, fmt.Errorf("%s=%q: descriptor %d: %w", Marker, value, n, err)
		}
		handles[i] = uintptr(n)
	}
	// Only now: a File that is dropped closes its descriptor.
	files := make([]*os.File, len(handles))
	for i, h := range handles {
		files[i] = os.NewFile(h, "worker-"+fields[i])
	}
	in := &Inherited{Requests: files[0], Replies: files[1], Control: files[2]}
	if len(files) == 4 {
		in.Blobs = files[3]
	}
	return in, nil
}

// Files lists the open descriptors, for a sandbox that closes all others.
func (in *Inherited) Files() []*os.File {
	files := []*os.File{in.Requests, in.Replies, in.Control}
	if in.Blobs != nil {
		files = append(files, in.Blobs)
	}
	return files
}

// ReceiveBlob takes the next descriptor that the host has sent. It does not
// block: the host sends before it writes the frame that announces it.
func (in *Inherited) ReceiveBlob() (*os.File, error) {
	if in.Blobs == nil {
		return nil, errors.New("no descriptor channel")
	}
	return receiveFile(in.Blobs)
}
