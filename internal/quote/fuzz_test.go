package quote_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/quote"
)

// FuzzEscape: nothing risky is left of any text, and text without it stays as it is.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "plain", "\x1b[2J", "\u009b\u202e\u2028", "\xff\xfe", "é\t\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := quote.Escape(s, "")
		require.False(t, strings.ContainsFunc(got, quote.Risky), "%q", got)
		require.True(t, utf8.ValidString(got))
		require.Equal(t, got, quote.Escape(got, ""), "escaped once is escaped")
		require.LessOrEqual(t, len(got), 4*len(s), "no byte becomes more than four")
		if utf8.ValidString(s) && !strings.ContainsFunc(s, quote.Risky) {
			require.Equal(t, s, got)
		}
		require.NotContains(t, quote.Line(s), "\n")
	})
}
