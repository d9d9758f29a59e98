package escape_test

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/sandpool/sandpool/internal/ia32test"
)

// The calls of other architectures have numbers of their own, past a filter that knows one
// set only. Many kernels lack x32's, and some those of 32-bit programs; a worker
// then dies of another signal. internal/sandbox has the control.
func init() {
	attempts["a 32-bit program's call"] = attempt{false, func(p *payload) error {
		if got := ia32test.Call(ia32test.Getppid); int(got) != p.Host {
			return fmt.Errorf("the host is %d: %w", got, unix.Errno(-min(got, -1)))
		}
		return nil
	}}
	attempts["an x32 program's call"] = attempt{false, func(*payload) error { return errnoOf(unix.SYS_GETPPID|0x40000000, 0, 0, 0, 0) }}
}
