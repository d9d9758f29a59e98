//go:build !linux

package sandbox

import "errors"

// apply has nothing more to take away here: these systems are documented as not
// for untrusted code.
func apply(c Config, r *Report) {
	c.open()
	for _, name := range []string{Descriptors, Rlimits, Memory, NotDumpable, NoNewPrivs, ParentDeath} {
		r.add(name, errors.ErrUnsupported)
	}
}
