//go:build wasip1

// Command guest is the module that hello runs.
package main

import (
	"strings"

	"github.com/sandpool/sandpool/guest"
)

func init() { guest.Register("count", count) }

func count(text string) (map[string]int, error) {
	words := make(map[string]int)
	for w := range strings.FieldsSeq(text) {
		words[w]++
	}
	return words, nil
}

func main() {}
