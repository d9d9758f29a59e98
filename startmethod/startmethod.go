package startmethod

import (
	"fmt"
	"slices"
	"strings"
)

// A Method is a start method. The zero value means unset: the next level down
// decides.
type Method string

const (
	// Fresh (spawn) compiles the module anew for each call, in the worker that
	// runs it, and instantiates it: nothing at all is shared with another call.
	// It costs the compile time, seconds for a module built by Go, which counts
	// against the call's wall time.
	Fresh Method = "fresh"

	// Precompiled (loky) compiles a module once, in a process of its own, and
	// instantiates that code anew for each call: code is shared, memory, globals
	// and tables are not. An instance of a module built by Go costs milliseconds,
	// mostly its runtime's initialisation; a small one without a runtime microseconds.
	Precompiled Method = "precompiled"

	// Snapshot (fork, forkserver) compiles and initialises a module once, in a process
	// of its own, and keeps an image of the memory and the globals it has then. Each
	// call gets an instance in that state: a copy-on-write clone, which is put back
	// after the answer. Nothing that a call does is seen by another.
	//
	// For a module built by Go that costs a few microseconds, more with each page of
	// memory that a call writes; a new clone, which follows a call that overflowed
	// its stack, about a hundred. Elsewhere than on Linux the whole image is copied.
	//
	// All calls of a trust domain (a tenant, or the executor) begin with what
	// initialisation chose: hash keys, secrets, random generators of the module's
	// own making. What the runtime of Go draws random numbers from is seeded anew for each
	// call. Images are replaced every hour.
	//
	// A module of which not all state can be put back (one that changes its tables, say),
	// or whose memory has more than 512 MiB once it is initialised, is not eligible. It runs as Precompiled, and a call's Usage says so and why.
	Snapshot Method = "snapshot"

	// Warm calls the instance that the last call has left, which costs a tenth of a
	// microsecond. There is no isolation between calls: whatever one leaves behind is
	// seen by later calls of the same module with the same grants and memory limit in
	// the same worker, until one traps, exits or exceeds a limit; the next then starts
	// from the image, or in a new instance. A guest's error keeps the instance. Which
	// worker serves a call is the scheduler's choice, so that nothing can be
	// relied on to be there either.
	//
	// It is for trusted functions only, those that keep a cache, say. It is never the
	// built-in default, and no instance ever serves two tenants.
	Warm Method = "warm"

	// LokyInitMain (loky_init_main, loky_int_main) is Precompiled where each instance
	// is set up by an initializer: an executor without Options.Initializer refuses it.
	// It is not one of [Methods], and Usage has Precompiled in its place.
	LokyInitMain Method = "loky_init_main"
)

// Methods returns the start methods of this system, the most isolated first.
func Methods() []Method { return []Method{Fresh, Precompiled, Snapshot, Warm} }

// aliases are loky's names. It documents loky_init_main as loky_int_main.
var aliases = map[string]Method{
	"spawn": Fresh, "loky": Precompiled, "fork": Snapshot, "forkserver": Snapshot,
	"loky_init_main": LokyInitMain, "loky_int_main": LokyInitMain,
}

// Parse returns the method of that name, ignoring case. It takes the names of
// [Methods] and loky's: spawn, loky, loky_init_main, loky_int_main, and, but on
// Windows, where loky has them no more than the system, fork and forkserver.
// Anything else is an error that lists the choices.
func Parse(name string) (Method, error) { return parse(name, haveFork) }

// parse is Parse on a system that has fork, or has not.
func parse(name string, fork bool) (Method, error) {
	lower := strings.ToLower(name)
	m, alias := aliases[lower]
	if !alias {
		m = Method(lower)
	}
	if !m.Valid() {
		return "", unknown(name)
	}
	if alias && m == Snapshot && !fork {
		return "", fmt.Errorf("start method %q does not exist on Windows (known: %s)", lower, known())
	}
	return m, nil
}

// Valid reports whether m is one of [Methods] or [LokyInitMain].
func (m Method) Valid() bool {
	return m == LokyInitMain || slices.Contains(Methods(), m)
}

// unknown is the error of a name that no method has. A name can come from
// anywhere, so it is quoted, and no more than the beginning of it.
func unknown(name string) error {
	const most = 64
	return fmt.Errorf("unknown start method %q (known: %s)", name[:min(len(name), most)], known())
}

func known() string {
	names := make([]string, 0, len(Methods()))
	for _, m := range Methods() {
		names = append(names, string(m))
	}
	return strings.Join(names, ", ")
}
