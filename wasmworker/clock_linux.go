package wasmworker

import "golang.org/x/sys/unix"

// sharedClock reads the monotonic clock of the boot, in nanoseconds. It is also
// what Go's monotonic clock is made of. Where it cannot be read it shows 0.
func sharedClock() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return ts.Nano()
}
