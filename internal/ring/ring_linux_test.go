package ring

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns both sides of a ring, in one process.
func pair(t *testing.T) (host, worker *Ring) {
	t.Helper()
	host, err := New(2)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, host.Close()) })
	fd, err := unix.Dup(int(host.File().Fd()))
	require.NoError(t, err)
	worker, err = Open(os.NewFile(uintptr(fd), "ring"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, worker.Close()) })
	return host, worker
}

// Both directions at once, in pieces of all sizes, more than fits at a time.
func TestRing_bytes(t *testing.T) {
	t.Parallel()
	host, worker := pair(t)
	var both sync.WaitGroup
	for _, way := range []struct {
		from, to *Ring
		seed     uint64
	}{{host, worker, 1}, {worker, host, 2}} {
		data := make([]byte, 20*streamSize+13)
		random := rand.New(rand.NewPCG(way.seed, 0))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		both.Go(func() {
			for at := 0; at < len(data); {
				n := min(1+random.IntN(3*streamSize/2), len(data)-at)
				written, err := way.from.Write(data[at : at+n])
				if err != nil || written != n {
					t.Errorf("wrote %d of %d bytes: %v", written, n, err)
					return
				}
				at += n
			}
		})
		both.Go(func() {
			got := make([]byte, len(data))
			for at := 0; at < len(got); {
				most := min(at+1+at%5000, len(got))
				n, err := way.to.Read(got[at:most])
				if err != nil || n == 0 {
					t.Errorf("read %d bytes: %v", n, err)
					return
				}
				at += n
			}
			if !bytes.Equal(data, got) {
				t.Error("other bytes came out than went in")
			}
		})
	}
	both.Wait()
}

// What was written before the end is read, then there is the end.
func TestRing_hangup(t *testing.T) {
	t.Parallel()
	host, worker := pair(t)
	_, err := worker.Write([]byte("last"))
	require.NoError(t, err)
	host.Hangup()
	buf := make([]byte, 10)
	n, err := host.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "last", string(buf[:n]))
	_, err = host.Read(buf)
	require.Equal(t, io.EOF, err)
	_, err = host.Write([]byte("x"))
	require.ErrorIs(t, err, syscall.EPIPE)
}

// A hangup ends waits that have begun: for bytes, and for room.
func TestRing_hangupWaiting(t *testing.T) {
	t.Parallel()
	host, _ := pair(t)
	errs := make(chan error)
	go func() {
		_, err := host.Read(make([]byte, 1))
		errs <- err
	}()
	go func() {
		_, err := host.Write(make([]byte, 2*streamSize))
		errs <- err
	}()
	for host.in.reader.Load() == 0 || host.out.writer.Load() == 0 { // they sleep
		runtime.Gosched()
	}
	host.Hangup()
	first, second := <-errs, <-errs
	if errors.Is(first, syscall.EPIPE) {
		first, second = second, first
	}
	require.Equal(t, io.EOF, first)
	require.ErrorIs(t, second, syscall.EPIPE)
}

// Whatever a hostile worker writes to the positions, the host reads and writes within
// bounds or gives up.
func TestRing_corrupt(t *testing.T) {
	t.Parallel()
	for _, lie := range []uint64{streamSize + 1, 1 << 40, 1<<63 + 5, ^uint64(0) - streamSize} {
		host, worker := pair(t)
		worker.out.head.Store(lie)
		_, err := host.Read(make([]byte, 1))
		require.Equal(t, ErrCorrupt, err, "%#x", lie)
		worker.in.tail.Store(lie)
		_, err = host.Write([]byte("x"))
		require.Equal(t, ErrCorrupt, err, "%#x", lie)
	}
}

// A position that goes back is as wrong as one too far ahead.
func TestRing_back(t *testing.T) {
	t.Parallel()
	host, worker := pair(t)
	_, err := worker.Write([]byte("text"))
	require.NoError(t, err)
	_, err = host.Read(make([]byte, 4))
	require.NoError(t, err)
	worker.out.head.Store(2)
	_, err = host.Read(make([]byte, 1))
	require.Equal(t, ErrCorrupt, err)
}

// A worker that wakes the host without end, and for nothing, is found out.
func TestRing_rude(t *testing.T) {
	t.Parallel()
	host, worker := pair(t)
	stop := make(chan struct{})
	var rudeness sync.WaitGroup
	rudeness.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				worker.out.reader.Store(0)
				futexWake(&worker.out.reader)
			}
		}
	})
	_, err := host.Read(make([]byte, 1))
	close(stop)
	rudeness.Wait()
	require.Equal(t, ErrCorrupt, err)
}

// A window shows what has been put there, and what was added, in any order and more than once.
func TestWindow(t *testing.T) {
	t.Parallel()
	host, worker := pair(t)
	data := noise(WindowSize)
	for _, size := range []int{5, piece - 1, piece, piece + 1, 3*piece + 7, WindowSize, 1} {
		in := data[:size]
		first := host.Input.Put(in)
		require.Equal(t, min(size, piece), first)
		var adding sync.WaitGroup
		adding.Go(func() { host.Input.Add(in[first:]) })
		got := make([]byte, size)
		require.NoError(t, worker.Input.ReadAt(got, 0))
		require.True(t, bytes.Equal(in, got))
		adding.Wait()
		require.NoError(t, worker.Input.ReadAt(got[:1], size/2))
		require.Equal(t, in[size/2], got[0])
		view, err := worker.Input.View(size)
		require.NoError(t, err)
		require.True(t, bytes.Equal(in, view))
	}
	require.Equal(t, WindowSize, host.Used())
	require.NoError(t, host.Release())
	require.Zero(t, host.Used())
	view, err := worker.Input.View(1)
	require.NoError(t, err)
	require.Zero(t, view[0], "given back to the system")
}

// Neither does the host go where a worker says that it is.
func TestWindow_corrupt(t *testing.T) {
	t.Parallel()
	host, worker := pair(t)
	in := noise(3 * piece)
	first := host.Input.Put(in)
	worker.Input.placed.Store(1 << 40)
	host.Input.Add(in[first:])
	view, err := worker.Input.View(len(in))
	require.NoError(t, err)
	require.True(t, bytes.Equal(in, view))
}

func noise(n int) []byte {
	b := make([]byte, n)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(b)
	return b
}

// Outputs of all sizes come out as they went in, whether they were staged or not, and each
// begins where the memory does.
func TestRing_output(t *testing.T) {
	t.Parallel()
	host, worker := pair(t)
	data := noise(2*WindowSize + 100)
	for _, size := range []int{1, 10, piece, WindowSize - 1, WindowSize, WindowSize + 1, 2*WindowSize + 100, 3} {
		for _, staged := range []int{0, min(size, piece/2), min(size, WindowSize)} {
			in, half := data[:size], (size-staged)/2
			require.True(t, worker.Stage(in[:staged/2]))
			require.True(t, worker.Stage(in[staged/2:staged]))
			require.Equal(t, staged, worker.Staged())
			sent := make(chan error)
			go func() { sent <- worker.Send([][]byte{in[staged : staged+half]}, in[staged+half:]) }()
			require.Zero(t, host.output.own%WindowSize)
			got := make([]byte, size)
			_, err := io.ReadFull(host.Output(), got)
			require.NoError(t, err)
			host.Output().End()
			require.NoError(t, <-sent)
			require.True(t, bytes.Equal(in, got), "%d bytes, %d staged", size, staged)
		}
	}
	require.Equal(t, WindowSize, host.Used())
}

// What is staged is not seen, does not wait for room, and can be taken back.
func TestRing_stage(t *testing.T) {
	t.Parallel()
	host, worker := pair(t)
	require.True(t, worker.Stage([]byte("forgotten")))
	require.Zero(t, host.Output().Buffered())
	worker.Drop()
	require.Zero(t, worker.Staged())
	require.True(t, worker.Stage([]byte("text")))
	require.False(t, worker.Stage(make([]byte, WindowSize-3)))
	require.NoError(t, worker.Send(nil, nil))
	require.False(t, worker.Stage([]byte("x")), "the host has not read the one before")
	require.Nil(t, host.Output().Copy(WindowSize+1))
	require.Equal(t, "text", string(host.Output().Copy(4)))
	host.Output().End()
	require.Equal(t, 4, host.Used())
	require.True(t, worker.Stage(make([]byte, WindowSize)))
}

// The host's end of the arena's stream is as careful as those of the others.
func TestRing_outputCorrupt(t *testing.T) {
	t.Parallel()
	for _, lie := range []uint64{WindowSize + 1, 1 << 40, ^uint64(0)} {
		host, worker := pair(t)
		worker.output.head.Store(lie)
		require.Zero(t, host.Output().Buffered())
		require.Nil(t, host.Output().Copy(1))
		_, err := host.Output().Read(make([]byte, 1))
		require.Equal(t, ErrCorrupt, err, "%#x", lie)
	}
	host, _ := pair(t)
	host.Hangup()
	_, err := host.Output().Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
}

func TestOpen_refused(t *testing.T) {
	t.Parallel()
	file := func(size int64, seals int) *os.File {
		fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		require.NoError(t, err)
		f := os.NewFile(uintptr(fd), "test")
		require.NoError(t, f.Truncate(size))
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals)
		require.NoError(t, err)
		return f
	}
	_, err := Open(file(size, unix.F_SEAL_GROW|unix.F_SEAL_SEAL))
	require.ErrorContains(t, err, "not sealed")
	_, err = Open(file(size-1, seals))
	require.ErrorContains(t, err, "bytes, want")
}

func TestSpin(t *testing.T) {
	t.Parallel()
	var s spin
	yes, no := func() bool { return true }, func() bool { return false }
	for range 100 {
		require.True(t, s.until(yes))
	}
	for range spinCredit / spinFailed {
		require.False(t, s.until(no))
		require.Zero(t, s.pause, "a busy moment")
	}
	require.False(t, s.until(no))
	require.Equal(t, spinPause, s.pause)
	require.False(t, s.until(func() bool { t.Error("asked while it is off"); return true }))

	for range 20 { // each time that it is tried again
		s.off = time.Time{}
		require.False(t, s.until(no))
	}
	require.Equal(t, spinRest, s.pause)
	s.off = time.Time{}
	require.True(t, s.until(yes))
	require.False(t, s.until(no))
	require.Equal(t, spinRest, s.pause, "once is not often")
	s.off = time.Time{}
	for range spinCredit + 2 {
		require.True(t, s.until(yes))
	}
	require.Zero(t, s.pause)
}

func TestCrowd(t *testing.T) {
	t.Parallel()
	var c crowd
	c.processors.Store(3)
	require.True(t, c.idle())
	c.waits.Add(1)
	require.True(t, c.idle(), "a host, a worker and the one that is given a call now")
	require.True(t, c.enter())
	require.True(t, c.enter())
	require.False(t, c.enter(), "a worker and three that spin")
	c.leave()
	c.waits.Add(1)
	require.False(t, c.idle())
	require.False(t, c.enter())
}

// FuzzRing has a worker write whatever it likes to the positions: the host reads and writes
// within its memory, and gives up or goes on.
func FuzzRing(f *testing.F) {
	f.Add(uint64(0), uint64(0), uint16(1), []byte("text"))
	f.Add(uint64(streamSize), uint64(1), uint16(streamSize-1), []byte{})
	f.Add(uint64(1<<63), ^uint64(0), uint16(9), make([]byte, 100))
	f.Fuzz(func(t *testing.T, head, tail uint64, most uint16, written []byte) {
		host, err := New(1)
		require.NoError(t, err)
		defer func() { require.NoError(t, host.Close()) }()
		host.Hangup() // no wait is to be long
		for range 3 {
			host.in.head.Store(head)
			before := host.in.own
			n, err := host.Read(make([]byte, int(most)+1))
			require.LessOrEqual(t, n, int(most)+1)
			require.Equal(t, before+uint64(n), host.in.own)
			if head-before > streamSize {
				require.Equal(t, ErrCorrupt, err)
			}
			require.LessOrEqual(t, host.Buffered(), streamSize)
			host.output.head.Store(head)
			o := host.Output()
			require.LessOrEqual(t, o.Buffered(), WindowSize)
			if b := o.Copy(int(most)); b != nil {
				require.Len(t, b, int(most))
			} else if n, err = o.Read(make([]byte, int(most)+1)); err == nil {
				require.Positive(t, n)
			}
			if tail%2 == 0 {
				o.End()
				require.Zero(t, host.output.own%WindowSize)
			}
			require.LessOrEqual(t, host.Used(), 3*WindowSize)
			host.out.tail.Store(tail)
			n, err = host.Write(written)
			require.LessOrEqual(t, n, len(written))
			require.True(t, err != nil || n == len(written))
		}
	})
}

// A head that lies ends a wait for more at once, and so does one that goes back over bytes
// that were seen, though it is within the stream.
func TestRing_awaitCorrupt(t *testing.T) {
	t.Parallel()
	host, worker := pair(t)
	worker.out.head.Store(streamSize + 1)
	require.Zero(t, host.Buffered())
	require.False(t, host.Await(0))

	host, worker = pair(t)
	_, err := worker.Write([]byte("text"))
	require.NoError(t, err)
	require.Equal(t, 4, host.Buffered())
	worker.out.head.Store(3)
	_, err = host.Read(make([]byte, 4))
	require.Equal(t, ErrCorrupt, err)
}

// Room is what a Write takes without waiting for the worker.
func TestRing_room(t *testing.T) {
	t.Parallel()
	host, worker := pair(t)
	_, err := host.Write(make([]byte, streamSize-10))
	require.NoError(t, err)
	require.Equal(t, 10, host.Room())
	_, err = worker.Read(make([]byte, 100))
	require.NoError(t, err)
	require.Equal(t, 110, host.Room())
	worker.in.tail.Store(50)
	require.Zero(t, host.Room(), "it has gone back")
}

// A sleep ends when something comes, when it is called off, however early, and with the
// other side.
func TestRing_sleep(t *testing.T) {
	t.Parallel()
	host, worker := pair(t)
	var stop atomic.Bool
	sleep := func() chan bool {
		came := make(chan bool, 1)
		n := host.Buffered() // of before anything comes
		go func() { came <- host.Sleep(n, &stop) }()
		return came
	}
	for range 200 {
		came := sleep()
		_, err := worker.Write([]byte("x"))
		require.NoError(t, err)
		require.True(t, <-came)
		_, err = host.Read(make([]byte, 1))
		require.NoError(t, err)

		came = sleep()
		stop.Store(true)
		host.Interrupt()
		require.False(t, <-came)
		stop.Store(false)
	}
	came := sleep()
	host.Hangup()
	require.False(t, <-came)
}

// What is written quietly is found by a reader that looks, and announced with the next that
// is not.
func TestRing_quiet(t *testing.T) {
	t.Parallel()
	host, worker := pair(t)
	got := make(chan int, 10)
	read := func() {
		n, err := host.Read(make([]byte, 10))
		if err != nil {
			n = -1
		}
		got <- n
	}
	host.LookEvery(time.Millisecond)
	go read()
	worker.Quiet(true)
	_, err := worker.Write([]byte("ab"))
	require.NoError(t, err)
	require.Equal(t, 2, <-got)
	_, err = worker.Write(make([]byte, streamSize)) // all there is room for
	require.NoError(t, err)
	worker.Quiet(false)
	full := make(chan error, 1)
	go func() {
		_, err := worker.Write([]byte("c"))
		full <- err
	}()
	for left := streamSize + 1; left > 0; {
		n, err := host.Read(make([]byte, 1000))
		require.NoError(t, err)
		left -= n
	}
	require.NoError(t, <-full)
}
