package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Threads makes system calls that count for one thread on all threads of this
// process. Go does that by itself, but not in a program with cgo.
type threads struct {
	dir *os.File // /proc/self/task; nil when err is not
	err error    // why it could not be opened
}

// openThreads is for one goroutine, and to be done while /proc can be read.
func openThreads() (*threads, error) {
	dir, err := os.Open("/proc/self/task")
	if err != nil {
		return nil, err
	}
	return &threads{dir: dir}, nil
}

func (t *threads) close() {
	if t.dir != nil {
		t.dir.Close()
	}
}

// call makes a call on every thread, and on those that they start.
func (t *threads) call(nr, a0, a1, a2 uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall(nr, a0, a1, a2)
	switch {
	case errno == 0:
		return nil
	case errno != syscall.ENOTSUP:
		return errno
	case t.dir == nil:
		return t.err
	}
	return t.callByName(nr, a0, a1, a2)
}

// patience is how long a thread may take to answer a signal.
const patience = 2 * time.Second

// callByName has each thread make the call in the handler of a signal. A thread that
// starts meanwhile has it from the one that started it, or is found by another look.
func (t *threads) callByName(nr, a0, a1, a2 uintptr) error {
	restore, err := handleCalls(nr, a0, a1, a2)
	if err != nil {
		return err
	}
	defer restore()
	done := make(map[int]bool)
	for {
		tids, err := t.list()
		if err != nil {
			return err
		}
		found := false
		for _, tid := range tids {
			if done[tid] {
				continue
			}
			done[tid], found = true, true
			if err := signalThread(tid); err != nil {
				return fmt.Errorf("thread %d: %w", tid, err)
			}
		}
		if !found {
			return nil
		}
	}
}

// list returns the threads' numbers, as this process's namespace counts them.
func (t *threads) list() ([]int, error) {
	if _, err := t.dir.Seek(0, 0); err != nil {
		return nil, err
	}
	names, err := t.dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	self := strconv.Itoa(unix.Gettid())
	runtime.UnlockOSThread()
	tids := make([]int, 0, len(names))
	if !slices.Contains(names, self) {
		// /proc is that of another namespace of processes. In one's own the numbers
		// begin at 1, and nothing else has any.
		for tid := 1; tid <= mostThreads; tid++ {
			if unix.Tgkill(os.Getpid(), tid, 0) == nil {
				tids = append(tids, tid)
			}
		}
		if len(tids) < len(names) {
			return nil, fmt.Errorf("found %d of %d threads", len(tids), len(names))
		}
		return tids, nil
	}
	for _, name := range names {
		if tid, err := strconv.Atoi(name); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids, nil
}

// mostThreads is how many threads a process has had at most when it sandboxes itself.
const mostThreads = 1024

// signalThread sends a thread the signal and waits for its answer.
func signalThread(tid int) error {
	before := answered()
	if err := unix.Tgkill(os.Getpid(), tid, callSignal); err != nil {
		return ignoreGone(err)
	}
	for deadline := time.Now().Add(patience); answered() == before; runtime.Gosched() {
		if time.Now().After(deadline) {
			if err := unix.Tgkill(os.Getpid(), tid, 0); err != nil {
				return ignoreGone(err)
			}
			return errors.New("does not answer")
		}
	}
	return failure()
}

// ignoreGone: a thread that has ended needs no call.
func ignoreGone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// setNoNewPrivs sets it where the launcher's thread has not passed it on.
func (t *threads) setNoNewPrivs() error {
	if checkNoNewPrivs() == nil {
		return nil
	}
	if err := t.call(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return err
	}
	return checkNoNewPrivs()
}
