// Command guest matches log lines against rules that take long to set up.
package main

import (
	"fmt"
	"math/rand/v2"
	"regexp"

	"github.com/sandpool/sandpool/guest"
)

// rules is what the initializer prepares, once for all calls that start from the
// image it is in.
var rules []*regexp.Regexp

// seen counts the calls of this instance: a call that finds more than itself has
// met an instance that another one has used.
var seen int

func init() {
	guest.Register("setup", setup)
	guest.Register("classify", classify)
}

// setup is the executor's Initializer.
func setup(patterns []string) (struct{}, error) {
	for _, p := range patterns {
		rule, err := regexp.Compile(p)
		if err != nil {
			return struct{}{}, fmt.Errorf("rule %q: %w", p, err)
		}
		rules = append(rules, rule)
	}
	return struct{}{}, nil
}

// A verdict says which rules a line matches.
type verdict struct {
	Matches []int
	Seen    int
	Ticket  uint64 // drawn at random: no two calls have the same, clones included
}

func classify(line string) (verdict, error) {
	seen++
	v := verdict{Seen: seen, Ticket: rand.Uint64()}
	for i, rule := range rules {
		if rule.MatchString(line) {
			v.Matches = append(v.Matches, i)
		}
	}
	return v, nil
}

func main() {} // never called
