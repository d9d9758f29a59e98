package guesttest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
)

func TestTinyCount(t *testing.T) {
	t.Parallel()
	for _, g := range []guesttest.CountGuest{
		{},
		{Salt: "salt"},
		{Table: true, Grow: 3},
		{Hook: guesttest.CountHook},
		{Hook: guesttest.TrapHook},
		{Hook: guesttest.FailHook},
		{Hook: guesttest.WriteHook},
		{Hook: guesttest.WrongHook},
	} {
		h := &host{input: []byte("input")}
		code, err := h.run(t, guesttest.TinyCount(g), 0)
		require.NoError(t, err)
		require.Zero(t, code)
		s, salt, ok := guesttest.ParseCounts(h.output)
		require.True(t, ok)
		require.Equal(t, guesttest.Counts{Memory: 1, Global: 1}, s)
		require.Equal(t, g.Salt, salt)
	}
	_, _, ok := guesttest.ParseCounts(make([]byte, 23))
	require.False(t, ok)
}
