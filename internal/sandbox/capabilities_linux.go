package sandbox

import (
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A capset is what capset(2) takes. It is never on a stack, which could move
// while other threads read it.
type capset struct {
	header unix.CapUserHeader
	data   [2]unix.CapUserData
}

var noCaps = &capset{header: unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}}

// dropCapabilities takes all capabilities from all threads.
func (t *threads) dropCapabilities() error {
	held, err := capabilities()
	if err != nil || !held {
		return err
	}
	err = t.call(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&noCaps.header)), uintptr(unsafe.Pointer(&noCaps.data[0])), 0)
	if err != nil {
		return err
	}
	if held, err = capabilities(); err == nil && held {
		err = errors.New("still there")
	}
	return err
}

// capabilities reports whether the calling thread has any.
func capabilities() (bool, error) {
	c := capset{header: noCaps.header}
	err := unix.Capget(&c.header, &c.data[0])
	runtime.KeepAlive(&c)
	var all uint32
	for _, d := range c.data {
		all |= d.Effective | d.Permitted | d.Inheritable
	}
	return all != 0, err
}
