package quote_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/quote"
)

func TestLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain text, ünïcode\tand a tab": "plain text, ünïcode\tand a tab",
		"two\nlines\r":                   `two\nlines\x0d`,
		"\x1b[31mred\x00\x7f":            `\x1b[31mred\x00\x7f`,
		"C1 \u009b31m":                   `C1 \u009b31m`,
		"\u202eright to left\u2028":      `\u202eright to left\u2028`,
		"bad \xff\xfe bytes":             `bad \xff\xfe bytes`,
		"":                               "",
	} {
		require.Equal(t, want, quote.Line(in))
	}
	require.Equal(t, "kept\nnewline", quote.Escape("kept\nnewline", "\n"))
}
