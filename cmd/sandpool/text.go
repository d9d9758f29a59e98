package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/sandpool/sandpool/internal/quote"
)

// oneLine makes untrusted text fit for a line of its own.
func oneLine(s string) string { return quote.Line(s) }

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
func riskyInJSON(r rune) bool { return r >= 0x7f && quote.Risky(r) }

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
