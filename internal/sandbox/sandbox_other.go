//go:build !linux

package sandbox

import (
	"errors"
	"fmt"
	"runtime"
)

// apply has nothing more to take away here: these systems are documented as not
// for untrusted code.
func apply(c *Config, r *Report) {
	c.open()
	c.closeDirs()
	names := []string{Descriptors, Rlimits, Memory, NotDumpable, NoNewPrivs, ParentDeath}
	if c.Profile != NoProfile {
		names = append(names, Filters()...)
	}
	for _, name := range names {
		r.add(name, errUnsupported)
	}
}

var errUnsupported = fmt.Errorf("not on %s: %w", runtime.GOOS, errors.ErrUnsupported)
