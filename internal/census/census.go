// Package census counts, for tests, what a process holds that a leak would add
// to: its children and its open descriptors.
package census

// A Count is a process's children and descriptors at one moment. Both lists are
// empty on systems where they cannot be read.
type Count struct {
	Children    []string // "pid command"
	Descriptors []string // "fd target"
}
