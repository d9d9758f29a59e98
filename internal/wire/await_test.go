package wire_test

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/wire"
)

// Await waits for what Ready then has in whole, if it fits the buffer, and takes nothing.
func TestReader_Await(t *testing.T) {
	t.Parallel()
	r := wire.NewReader(iotest.OneByteReader(bytes.NewReader(frames(t, []byte("first"), make([]byte, 100_000), nil))))
	limits := wire.Limits{{Type: wire.TypeCall, Max: 1 << 20}}
	for i, want := range []struct {
		size  int
		ready wire.Readiness
	}{{5, wire.Whole}, {100_000, wire.HeaderOnly}, {0, wire.Whole}} {
		require.NoError(t, r.Await())
		require.NoError(t, r.Await(), "again")
		h, ready := r.Ready(0)
		require.Equal(t, want.ready, ready, i)
		require.EqualValues(t, want.size, h.Length)
		_, err := r.Next(limits)
		require.NoError(t, err)
		b, err := r.Payload(nil)
		require.NoError(t, err)
		require.Len(t, b, want.size)
	}
	require.ErrorIs(t, r.Await(), io.EOF)

	whole := frames(t, []byte("first"))
	for n := 1; n < len(whole); n++ {
		r := wire.NewReader(bytes.NewReader(whole[:n]))
		require.ErrorIs(t, r.Await(), io.ErrUnexpectedEOF, n)
	}
	lies := header(wire.Version, wire.TypeCall, 1<<32-1) // more than there will ever be
	require.NoError(t, wire.NewReader(bytes.NewReader(lies)).Await(), "for Next to say what is wrong with it")
}
