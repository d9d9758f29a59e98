// Package words counts the words of a text.
package words

import (
	"unicode"
	"unicode/utf8"
)

// Count returns how often each word occurs in text. A word is a longest run of
// letters, decimal digits and underscores, so that an identifier of a program is
// one word; words that differ in case are different. Bytes that are not UTF-8
// separate words, which makes every word valid UTF-8 whatever the text is.
func Count(text []byte) map[string]int {
	counts := make(map[string]int)
	s := string(text) // once, so that words are parts of it and cost no allocation
	start := -1       // where the current word began; -1 outside words
	for i := 0; i < len(s); {
		size, part := 1, inASCII[s[i]]
		if s[i] >= utf8.RuneSelf {
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			part = inWord(r)
		}
		switch {
		case part && start < 0:
			start = i
		case !part && start >= 0:
			counts[s[start:i]]++
			start = -1
		}
		i += size
	}
	if start >= 0 {
		counts[s[start:]]++
	}
	return counts
}

// inWord reports whether r belongs to a word. utf8.RuneError, which stands for
// bytes that are not UTF-8, does not.
func inWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// inASCII is inWord for single bytes; false for those above ASCII.
var inASCII = [256]bool{
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true,
	'A': true, 'B': true, 'C': true, 'D': true, 'E': true, 'F': true, 'G': true, 'H': true, 'I': true, 'J': true,
	'K': true, 'L': true, 'M': true, 'N': true, 'O': true, 'P': true, 'Q': true, 'R': true, 'S': true, 'T': true,
	'U': true, 'V': true, 'W': true, 'X': true, 'Y': true, 'Z': true, '_': true,
	'a': true, 'b': true, 'c': true, 'd': true, 'e': true, 'f': true, 'g': true, 'h': true, 'i': true, 'j': true,
	'k': true, 'l': true, 'm': true, 'n': true, 'o': true, 'p': true, 'q': true, 'r': true, 's': true, 't': true,
	'u': true, 'v': true, 'w': true, 'x': true, 'y': true, 'z': true,
}
