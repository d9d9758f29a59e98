// Package census counts, for tests, what a process holds that a leak would add
// to: its children and its open descriptors.
package census

import "fmt"

// A Count is a process's children and descriptors at one moment. Both lists are
// empty on systems where they cannot be read.
type Count struct {
	Children    []string // "pid command"
	Descriptors []string // "fd target"
}

// A Runner runs tests: a *testing.M.
type Runner interface{ Run() int }

// Checked returns a Runner that runs m and then fails the run if the process has
// a child, or more descriptors than when Checked was called.
func Checked(m Runner) Runner { return &checked{m, Take()} }

type checked struct {
	m      Runner
	before Count
}

// Run implements Runner.
func (c *checked) Run() int {
	code := c.m.Run()
	after := Take()
	if len(after.Children) > 0 || len(after.Descriptors) > len(c.before.Descriptors) {
		fmt.Printf("leaked: children %q, descriptors %q (before: %q)\n", after.Children, after.Descriptors, c.before.Descriptors)
		return max(code, 1)
	}
	return code
}
