package ring

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sandpool/sandpool/internal/shm"
)

// Where things are in the shared memory.
const (
	page       = 4096
	toWorkerAt = 0        // control blocks
	toHostAt   = page     //
	sharedAt   = 2 * page // what is not a stream's
	outputAt   = 3 * page // the control block of the arena's
	dataAt     = 4 * page // of the stream to the worker, then of that to the host
	arenaAt    = dataAt + 2*streamSize
	size       = arenaAt + arenaParts*WindowSize
)

// The parts of the arena.
const (
	partInput = iota
	partAnswer
	partOutput
	arenaParts
)

const (
	seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW

	hostLooks   = 100 * time.Millisecond // between two looks of a wait that nobody ends
	workerLooks = 10 * time.Second
)

// shared is what is not a stream's: the host's words.
type shared struct {
	spin    atomic.Uint32 // 1 when the worker may spin for the next frame
	_       [60]byte
	windows [2]progress // of partInput and partAnswer
}

// hostWaits are those of this process, as a host.
var hostWaits crowd

// A Ring is one side of the memory between a host and a worker. Read and Write are for
// one goroutine each, Hangup for any, the rest for the goroutine of Write.
type Ring struct {
	Input  *Window // what the host shows of a call's input
	Answer *Window // of the answer of a host function

	mem     []byte
	file    *os.File // the host's; nil in a worker
	shared  *shared
	in, out *stream
	output  *stream // of the arena
	read    int     // bytes of output's memory that may be taken, as far as has been read; the host's
}

// Supported reports whether this system has rings.
func Supported() bool { return true }

// New returns a host's side. processors is how many this program may use at a time; all
// rings of a program share the last one that was given.
func New(processors int) (r *Ring, err error) {
	f, err := shm.Memfd("sandpool-ring")
	if err != nil {
		return nil, err
	}
	if err = f.Truncate(size); err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals)
	}
	if err == nil {
		r, err = mapped(f)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make shared memory: %w", err), f.Close())
	}
	r.file = f
	hostWaits.processors.Store(int32(processors))
	r.in, r.out = r.stream(toHostAt, 1), r.stream(toWorkerAt, 0)
	for _, w := range r.waits() {
		w.crowd, w.most = &hostWaits, hostLooks
	}
	return r, nil
}

// Open returns a worker's side of the memory that its host has made, and closes f.
func Open(f *os.File) (*Ring, error) {
	defer f.Close()
	r, err := mapped(f)
	if err != nil {
		return nil, err
	}
	r.in, r.out = r.stream(toWorkerAt, 0), r.stream(toHostAt, 1)
	for _, w := range r.waits() {
		w.hint, w.most = &r.shared.spin, workerLooks
	}
	return r, nil
}

// waits lists all that this side waits with.
func (r *Ring) waits() []*waiter {
	return []*waiter{&r.in.wait, &r.out.wait, &r.output.wait, &r.Input.wait, &r.Answer.wait}
}

// mapped maps the memory. The mapping cannot fault: the size is sealed.
func mapped(f *os.File) (*Ring, error) {
	got, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil || got&seals != seals {
		return nil, fmt.Errorf("shared memory is not sealed (seals %#x): %w", got, errors.Join(err, unix.EPERM))
	}
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() != size {
		return nil, fmt.Errorf("shared memory has %d bytes, want %d", st.Size(), size)
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	r := &Ring{mem: mem, shared: (*shared)(unsafe.Pointer(&mem[sharedAt]))}
	r.Input = &Window{progress: &r.shared.windows[partInput], data: r.part(partInput)}
	r.Answer = &Window{progress: &r.shared.windows[partAnswer], data: r.part(partAnswer)}
	r.output = &stream{control: (*control)(unsafe.Pointer(&mem[outputAt])), data: r.part(partOutput)}
	return r, nil
}

func (r *Ring) part(n int) []byte {
	at := arenaAt + n*WindowSize
	return r.mem[at : at+WindowSize : at+WindowSize]
}

func (r *Ring) stream(block, n int) *stream {
	at := dataAt + n*streamSize
	return &stream{control: (*control)(unsafe.Pointer(&r.mem[block])), data: r.mem[at : at+streamSize : at+streamSize]}
}

// File is what the worker is to be handed; the host's only.
func (r *Ring) File() *os.File { return r.file }

// Read reads what the other side has written, at least one byte. It returns io.EOF when
// that is gone and all has been read.
func (r *Ring) Read(p []byte) (int, error) { return r.in.Read(p) }

// Buffered is how many bytes Read has at once; 0 also when Read would fail.
func (r *Ring) Buffered() int {
	n, err := r.in.filled()
	if err != nil {
		return 0
	}
	return n
}

// Await waits a moment until Buffered is not n any more, without giving the processor
// away, if that promises to be short. It reports whether it was.
func (r *Ring) Await(n int) bool {
	w, head := &r.in.wait, r.in.own+uint64(n)
	w.crowd.waits.Add(1)
	defer w.crowd.waits.Add(-1)
	if !w.spins(func() bool { return r.in.head.Load() != head }) {
		return false
	}
	_, err := r.in.filled()
	return err == nil
}

// Sleep waits until Buffered is not n any more and reports whether it is; it also returns
// when called off by [Ring.Interrupt], after stop has been set, and when the other side is
// gone.
func (r *Ring) Sleep(n int, stop *atomic.Bool) bool {
	w, head := &r.in.wait, r.in.own+uint64(n)
	w.crowd.waits.Add(1)
	defer w.crowd.waits.Add(-1)
	return w.sleep(&r.in.reader, func() bool { return r.in.head.Load() != head }, stop) == nil
}

// Interrupt ends a Sleep. Any goroutine may call it, until Close.
func (r *Ring) Interrupt() {
	r.in.reader.Store(0)
	futexWake(&r.in.reader)
}

// LookEvery has Read look by itself for what comes, that often while it sleeps; 0 means as
// often as a Read does that the other side is sure to wake.
func (r *Ring) LookEvery(d time.Duration) {
	r.in.wait.calm = d > 0
	if d <= 0 {
		d = hostLooks
	}
	r.in.wait.most = d
}

// Quiet has Write leave the other side asleep, or wake it again.
func (r *Ring) Quiet(quiet bool) { r.out.quiet = quiet }

// Room is how many bytes Write takes at once.
func (r *Ring) Room() int {
	n, err := r.out.free()
	if err != nil {
		return 0
	}
	return n
}

// Write writes all of p. It returns syscall.EPIPE when the other side is gone.
func (r *Ring) Write(p []byte) (int, error) {
	if r.file != nil {
		hint := uint32(0)
		if hostWaits.idle() {
			hint = 1
		}
		if r.shared.spin.Load() != hint {
			r.shared.spin.Store(hint)
		}
	}
	return r.out.Write(p)
}

// Hangup tells this side that the other is gone.
func (r *Ring) Hangup() {
	r.in.hangup()
	r.out.hangup()
	r.output.hangup()
}

// Close unmaps the memory. Nothing may be using the ring any more.
func (r *Ring) Close() error {
	err := os.NewSyscallError("munmap", unix.Munmap(r.mem))
	r.mem = nil
	if r.file != nil {
		err = errors.Join(err, r.file.Close())
	}
	return err
}
