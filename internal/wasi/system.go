package wasi

import "io"

// A System is what a guest sees of the world during one instance's life. It belongs
// to one goroutine. All its functions and writers must be set; they run while the
// guest waits, and may panic to end it.
type System struct {
	// Stdout and Stderr get what the guest writes, a call for each of its buffers,
	// straight from its memory: they must not keep the bytes.
	Stdout, Stderr io.Writer

	// Args and Env are as the guest gets them; Env's entries are "KEY=value". The
	// guest takes each up to its first zero byte.
	Args, Env []string

	// Stdin is what is left of standard input. When Piped is set the three streams
	// are pipes or the like, which C libraries hand on to in blocks; else standard
	// output and error are terminals, and so is a standard input of nothing.
	Stdin []byte
	Piped bool

	// Random fills its argument with random bytes. It is asked for at most 64 KiB
	// at a time.
	Random func([]byte)

	// Walltime is the time since 1970 and Nanotime that of a clock that never goes
	// back.
	Walltime func() (sec int64, nsec int32)
	Nanotime func() int64

	// Clock is how the guest sees them.
	Clock Clock

	// Sleep returns after that many nanoseconds, which are more than 0.
	Sleep func(ns int64)

	// Files says that the guest has files besides its streams, which the functions
	// given to Instantiate serve: it makes their error number exact. Nil means none.
	Files func(errno uint32) uint32

	// State is what the guest has changed.
	State State

	// Elapsed is by how much the guest's sleeping has moved a clock that is fixed, in
	// nanoseconds.
	Elapsed uint64
}

// A State is the part of a [System] that the guest can change: which standard
// streams it has closed, and their flags. The zero State is that of the start.
// Every value is valid, though bits that mean nothing are ignored.
type State uint32

// A Clock is how a guest sees the time. The zero Clock shows it as it is.
type Clock struct {
	// Fixed makes Start, in nanoseconds since 1970, the time of every reading; the
	// monotonic clock stands still as well. A guest that sleeps is not made to wait:
	// both clocks are then as much later, since it would not understand otherwise that
	// its time is up.
	Fixed bool
	Start uint64

	// Resolution, in nanoseconds, is what readings are rounded to; 0 and 1 do nothing.
	Resolution uint64
}

// streams is how many file descriptors there are: 0, 1 and 2.
const streams = 3

// The bits of a [State], each shifted left by the file descriptor.
const (
	stateClosed   State = 1 << (0 * streams)
	stateAppend   State = 1 << (1 * streams)
	stateNonblock State = 1 << (2 * streams)
)

// open reports whether fd is a stream that is open.
func (s *State) open(fd uint32) bool { return fd < streams && *s&(stateClosed<<fd) == 0 }

// set sets or clears a bit of an open stream.
func (s *State) set(bit State, fd uint32, on bool) {
	if on {
		*s |= bit << fd
	} else {
		*s &^= bit << fd
	}
}
