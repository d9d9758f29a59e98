package wasmworker

import (
	"fmt"
	"os"
	"strconv"
)

// AuditVariable is the environment variable that has workers audit themselves: with
// the value n, every n-th time that an instance is put back into its image's state the
// whole of its memory and its globals are compared with the image. A difference
// ends the worker, with a message on its standard error. It costs about a millisecond for
// each 10 MiB. It is set by executor.Options.Env.
const AuditVariable = "SANDPOOL_AUDIT"

// An audit compares restored instances with what they should be.
type audit struct {
	every uint64 // 0 for never
	count uint64
}

// auditEvery reads AuditVariable, which the sandbox is about to clear.
func auditEvery() (uint64, error) {
	value := os.Getenv(AuditVariable)
	if value == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s=%q is not a number of calls", AuditVariable, value)
	}
	return n, nil
}

// look looks at an instance that was kept for the slot's next call.
func (a *audit) look(inst *instance, sl *slot) error {
	if a.every == 0 || sl.warm != nil {
		return nil
	}
	if a.count++; a.count%a.every != 0 {
		return nil
	}
	if err := inst.restorer.Check(&sl.image.state); err != nil {
		return fmt.Errorf("audit: a restored instance is not what image %d has: %w", sl.image.number, err)
	}
	return nil
}
