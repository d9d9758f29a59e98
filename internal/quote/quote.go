// Package quote makes text that a guest chose fit to be shown: the one function
// for every sink, be it a log, an error or a terminal.
package quote

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Risky reports whether a character of untrusted text could do something to a
// terminal, or to how a reader sees the rest of the line: control characters (C0
// with ESC, DEL, C1), direction overrides and line separators.
func Risky(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// Escape returns s with its risky characters, but for those in kept, and its
// invalid bytes as Go escapes.
func Escape(s, kept string) string {
	clean := utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return Risky(r) && !strings.ContainsRune(kept, r) })
	if clean {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case !Risky(r) || strings.ContainsRune(kept, r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		s = s[n:]
	}
	return b.String()
}

// Line makes untrusted text fit for one line. Tabs stay.
func Line(s string) string { return Escape(s, "\t") }
