// Package startmethod names the ways a call gets its instance.
//
// The names in parentheses are those of the process start methods of Python's
// loky, which [Parse] takes as well.
package startmethod

import (
	"fmt"
	"slices"
	"strings"
)

// A Method is a start method. The zero value means unset: the next level down
// decides, Func before Options before the built-in default, which is
// [Precompiled].
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
)

// Default is the built-in default.
const Default = Precompiled

// Methods returns the start methods of this system, the most isolated first.
func Methods() []Method { return []Method{Fresh, Precompiled} }

// aliases are loky's names.
var aliases = map[string]Method{"spawn": Fresh, "loky": Precompiled}

// Parse returns the method of that name, ignoring case. It takes the names of
// [Methods] and loky's spawn and loky; anything else is an error that lists the
// choices.
func Parse(name string) (Method, error) {
	lower := strings.ToLower(name)
	if m, ok := aliases[lower]; ok {
		return m, nil
	}
	for _, m := range Methods() {
		if string(m) == lower {
			return m, nil
		}
	}
	return "", fmt.Errorf("unknown start method %q (known: %s)", name, known())
}

// Valid reports whether m is one of [Methods].
func (m Method) Valid() bool {
	return slices.Contains(Methods(), m)
}

func known() string {
	names := make([]string, 0, len(Methods()))
	for _, m := range Methods() {
		names = append(names, string(m))
	}
	return strings.Join(names, ", ")
}
