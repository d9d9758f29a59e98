package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A tally is what was found in some files.
type tally struct {
	files int
	bytes int64
	words map[string]int
}

func newTally() *tally { return &tally{words: make(map[string]int)} }

// add takes in the words of one file.
func (t *tally) add(counts map[string]int, size int) {
	t.files++
	t.bytes += int64(size)
	for word, n := range counts {
		t.words[word] += n
	}
}

func (t *tally) merge(other *tally) {
	t.files += other.files
	t.bytes += other.bytes
	for word, n := range other.words {
		t.words[word] += n
	}
}

// total is how many words there are, each counted as often as it occurs.
func (t *tally) total() int {
	sum := 0
	for _, n := range t.words {
		sum += n
	}
	return sum
}

// difference says how t differs from native, naming the first word in the
// alphabet that does; it is empty when they agree.
func (t *tally) difference(native *tally) string {
	if t.files != native.files || t.bytes != native.bytes {
		return fmt.Sprintf("%s files of %s bytes in the workers, %s of %s here",
			grouped(t.files), grouped(int(t.bytes)), grouped(native.files), grouped(int(native.bytes)))
	}
	var differing []string
	for word, n := range t.words {
		if n != native.words[word] {
			differing = append(differing, word)
		}
	}
	for word := range native.words {
		if _, ok := t.words[word]; !ok {
			differing = append(differing, word)
		}
	}
	if len(differing) == 0 {
		return ""
	}
	word := slices.Min(differing)
	return fmt.Sprintf("%s words, the first is %q: %s times in the workers, %s here",
		grouped(len(differing)), word, grouped(t.words[word]), grouped(native.words[word]))
}

// A wordCount is one line of the table.
type wordCount struct {
	word  string
	count int
}

// top returns the most frequent words, and the first in the alphabet of those
// equally frequent.
func (t *tally) top(most int) []wordCount {
	all := make([]wordCount, 0, len(t.words))
	for word, n := range t.words {
		all = append(all, wordCount{word, n})
	}
	slices.SortFunc(all, func(a, b wordCount) int {
		return cmp.Or(cmp.Compare(b.count, a.count), strings.Compare(a.word, b.word))
	})
	return all[:min(most, len(all))]
}
