package main

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// risky reports whether a character of untrusted text could do something to a
// terminal, or to how a reader sees the rest of the line: control characters (C0
// with ESC, DEL, C1), direction overrides and line separators.
func risky(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// escape writes untrusted text with its risky characters, but for those kept,
// as Go escapes. Everything that a guest chose and a person may see goes through
// it, or through escapeJSON.
func escape(s, kept string) string {
	clean := utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return risky(r) && !strings.ContainsRune(kept, r) })
	if clean {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case !risky(r) || strings.ContainsRune(kept, r):
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

// oneLine makes untrusted text fit for a line of its own.
func oneLine(s string) string { return escape(s, "\t") }

// indentLines indents each line of untrusted text and ends the last one.
func indentLines(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString("    " + oneLine(strings.TrimSuffix(line, "\n")) + "\n")
	}
	return b.String()
}

// escapeJSON replaces the risky characters that encoding/json leaves alone. In
// its output they stand in strings only, where the escape means the same.
func escapeJSON(data []byte) []byte {
	if !bytes.ContainsFunc(data, riskyInJSON) {
		return data
	}
	var b bytes.Buffer
	for _, r := range string(data) {
		if riskyInJSON(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.Bytes()
}

// riskyInJSON leaves out the line ends and spaces between values.
func riskyInJSON(r rune) bool { return r >= 0x7f && risky(r) }

// shorten cuts a text that is longer than anything with a purpose.
func shorten(s string) string {
	const most = 80
	for i := range s {
		if i >= most {
			return s[:i] + "…"
		}
	}
	return s
}

// count returns "1 call", "2 calls".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// bytesText returns a size for people.
func bytesText(n uint64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	default:
		return count(int(n), "byte")
	}
}
