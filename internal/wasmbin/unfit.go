package wasmbin

import (
	"fmt"
	"strings"
)

// maxRestored bounds the globals that a worker writes after each call. Modules
// of real toolchains set fewer than ten.
const maxRestored = 1_000

// An UnfitError is why [Prepare] cannot make a module's instances restorable. The
// module is good as far as Scan can tell, and runs in an instance of its own.
type UnfitError struct {
	// Reason is a statement about the module, such as "code changes a table
	// (table.set in function 12)". Names in it are quoted.
	Reason string
}

// Error returns the reason.
func (e *UnfitError) Error() string { return "instances cannot be restored: " + e.Reason }

// unfit returns an error for what a scan noted, or nil. What is wrong with data
// segments shows when they are moved.
func (s *scanner) unfit() *UnfitError {
	for _, check := range []func(*scanner) string{
		(*scanner).unfitImports,
		(*scanner).unfitCode,
		(*scanner).unfitGlobals,
		(*scanner).unfitStart,
		(*scanner).unfitExports,
	} {
		if reason := check(s); reason != "" {
			return &UnfitError{Reason: reason}
		}
	}
	return nil
}

// unfitImports refuses state that belongs to another instance.
func (s *scanner) unfitImports() string {
	globals := s.uses.globals
	for _, imp := range s.m.Imports {
		switch imp.Kind {
		case KindMemory, KindTable:
			return fmt.Sprintf("the module imports a %v (%s.%s)", imp.Kind, quote(imp.Module), quote(imp.Name))
		case KindGlobal:
			if globals[0].mutable {
				return fmt.Sprintf("the module imports a mutable global (%s.%s)", quote(imp.Module), quote(imp.Name))
			}
			globals = globals[1:]
		default: // functions and tags have no state
		}
	}
	return ""
}

// unfitCode refuses code that changes what the runtime gives no access to.
func (s *scanner) unfitCode() string {
	switch {
	case s.features&needThreads != 0:
		return "the module uses threads (a shared memory or atomic instructions)"
	case s.uses.table.op != 0:
		return fmt.Sprintf("code changes a table (%v)", s.uses.table)
	case s.uses.drop.op != 0:
		return fmt.Sprintf("code drops a segment (%v)", s.uses.drop)
	default:
		return ""
	}
}

// unfitGlobals refuses globals whose value does not fit one machine word, or is
// a pointer into one instance.
func (s *scanner) unfitGlobals() string {
	for i, g := range s.uses.globals {
		if g.mutable && g.set && !g.valType.IsNumber() {
			return fmt.Sprintf("code sets a global of type %v (global %d)", g.valType, i)
		}
	}
	if n := s.restored(); n > maxRestored {
		return fmt.Sprintf("code sets %d globals, the limit is %d", n, maxRestored)
	}
	return ""
}

// restored is the number of globals to export.
func (s *scanner) restored() int {
	n := 0
	for _, g := range s.uses.globals {
		if g.mutable && g.set {
			n++
		}
	}
	return n
}

// unfitStart refuses start functions that would make an invalid module valid by
// becoming an export: an export may have any type, and may be referred to.
func (s *scanner) unfitStart() string {
	if !s.m.HasStart {
		return ""
	}
	t := s.m.Types[s.funcs[s.m.Start]]
	switch {
	case len(t.Params)+len(t.Results) > 0:
		return fmt.Sprintf("the start function has the type %v, it must have () -> ()", t)
	case s.uses.starter:
		return "code takes a reference to the start function"
	default:
		return ""
	}
}

// unfitExports refuses names of ours, and more exports than fit.
func (s *scanner) unfitExports() string {
	for _, e := range s.m.Exports {
		if strings.HasPrefix(e.Name, namePrefix) {
			return "the module exports the reserved name " + quote(e.Name)
		}
	}
	const most = MaxExports - maxRestored - 1 // ours and the start function
	if n := len(s.m.Exports); n > most {
		return fmt.Sprintf("the module has %d exports, the limit is %d", n, most)
	}
	return ""
}
