//go:build amd64 || arm64

package sandbox

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// callSignal is the one that C libraries use for the same purpose, which neither
// Go nor the race detector ever blocks.
const callSignal = unix.Signal(33)

// threadCall is what the handler of the signal does and what came of it. The
// handler is in assembly, which knows these offsets.
var threadCall struct {
	nr, a0, a1, a2 uintptr
	done           uint32 // threads that have made the call
	failed         int32  // the negative error number of the last that failed
}

// Flags of a sigaction, as SA_ONSTACK and SA_RESTART.
const (
	onStack = 0x08000000
	restart = 0x10000000
)

// sigaction is the kernel's own structure.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// onCall returns the addresses of the handler and of what it returns to.
func onCall() (handler, restorer uintptr)

// handleCalls installs the handler; restore puts back what was there.
func handleCalls(nr, a0, a1, a2 uintptr) (restore func(), err error) {
	threadCall.nr, threadCall.a0, threadCall.a1, threadCall.a2 = nr, a0, a1, a2
	atomic.StoreUint32(&threadCall.done, 0)
	atomic.StoreInt32(&threadCall.failed, 0)
	handler, restorer := onCall()
	act := sigaction{handler: handler, flags: onStack | restart | restorerFlag, restorer: restorer, mask: ^uint64(0)}
	var old sigaction
	if err := setAction(&act, &old); err != nil {
		return nil, err
	}
	return func() { _ = setAction(&old, nil) }, nil
}

func setAction(act, old *sigaction) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(callSignal),
		uintptr(unsafe.Pointer(act)), uintptr(unsafe.Pointer(old)), unsafe.Sizeof(act.mask), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func answered() uint32 { return atomic.LoadUint32(&threadCall.done) }

func failure() error {
	if e := atomic.LoadInt32(&threadCall.failed); e != 0 {
		return unix.Errno(-e)
	}
	return nil
}
