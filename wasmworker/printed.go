package wasmworker

import "github.com/sandpool/sandpool/internal/guestabi"

// streams is how many streams there are of what a guest logs and prints:
// wire.StreamLog, StreamStdout and StreamStderr.
const streams = 3

// logLimitNames are the limits of the streams.
var logLimitNames = [streams]string{guestabi.LimitLog, guestabi.LimitStdout, guestabi.LimitStderr}

// logLimits are what a call may write, by stream.
func (sl *slot) logLimits() [streams]uint64 {
	return [streams]uint64{sl.LogBytes, sl.Stdout, sl.Stderr}
}

// printed is how much the guest has logged and printed.
func (c *call) printed() (n uint64) {
	for i, most := range c.slot.logLimits() {
		n += most - c.left[i]
	}
	return n
}
