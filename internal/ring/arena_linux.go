package ring

import (
	"bytes"
	"os"

	"golang.org/x/sys/unix"
)

// The directions of an arena.
const (
	toWorker = 0
	toHost   = 1
)

func (r *Ring) arena(direction int) []byte {
	at := arenaAt + direction*ArenaSize
	return r.mem[at : at+ArenaSize : at+ArenaSize]
}

// Put copies an input of at most ArenaSize bytes into the arena, for the worker to find
// there. The worker must have answered the call of the last one. Host only.
func (r *Ring) Put(parts ...[]byte) {
	n := 0
	for _, p := range parts {
		n += copy(r.arena(toWorker)[n:], p)
	}
	r.used[toWorker] = max(r.used[toWorker], n)
}

// Take returns a copy of an output of n bytes, ArenaSize at most, that the worker says it
// has put into the arena. What is copied cannot change any more. Host only.
func (r *Ring) Take(n int) []byte {
	p := bytes.Clone(r.arena(toHost)[:n]) // which does not clear it first
	r.used[toHost] = max(r.used[toHost], n)
	r.results++
	r.shared.taken.Store(r.results)
	return p
}

// Used is how many bytes of the arena may take memory. Host only.
func (r *Ring) Used() int { return r.used[toWorker] + r.used[toHost] }

// Release gives the arena's memory back to the system. The worker must be idle. Host only.
func (r *Ring) Release() error {
	if r.Used() == 0 {
		return nil
	}
	r.used = [2]int{}
	return os.NewSyscallError("fallocate", unix.Fallocate(int(r.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, arenaAt, 2*ArenaSize))
}

// Input is where an input of n bytes is, ArenaSize at most. Worker only.
func (r *Ring) Input(n int) []byte { return r.arena(toWorker)[:n:n] }

// Output is where an output may be put, or nil while the host has not taken the last one.
// Worker only.
func (r *Ring) Output() []byte {
	if r.shared.taken.Load() != r.results {
		return nil
	}
	return r.arena(toHost)
}

// Sent notes that the host has been told of an output. Worker only.
func (r *Ring) Sent() { r.results++ }
