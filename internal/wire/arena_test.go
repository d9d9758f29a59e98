package wire_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/wire"
)

// A fakeArena is an arena whose payloads are all of r, one after another.
type fakeArena struct {
	r     *bytes.Reader
	ended int
}

func (a *fakeArena) Read(p []byte) (int, error) { return a.r.Read(p) }
func (a *fakeArena) Buffered() int              { return a.r.Len() }
func (a *fakeArena) End()                       { a.ended++ }

func (a *fakeArena) Copy(n int) []byte {
	if n > a.r.Len() || n%2 == 1 {
		return nil
	}
	b := make([]byte, n)
	_, _ = a.r.Read(b)
	return b
}

// Payloads in an arena are read there, between those that are not; frames are whole when
// their payload is there.
func TestReader_arena(t *testing.T) {
	t.Parallel()
	placed := func(n uint32) wire.Header {
		return wire.Header{Type: wire.TypeOutput, Flags: wire.FlagArena, Length: n}
	}
	limits := wire.Limits{{Type: wire.TypeOutput, Max: 100}}
	var b bytes.Buffer
	w := wire.NewWriter(&b)
	for _, n := range []uint32{3, 4, 2, 9} {
		require.NoError(t, w.WriteHeader(placed(n)))
	}
	require.NoError(t, w.Write(wire.Header{Type: wire.TypeOutput}, []byte("here")))
	require.NoError(t, w.WriteHeader(placed(101)))
	r := wire.NewReader(&b)
	a := &fakeArena{r: bytes.NewReader([]byte("onetwo2++threefour"))}
	r.UseArena(a)
	require.NoError(t, r.Await())
	h, ready := r.Ready(0)
	require.Equal(t, wire.Whole, ready)
	require.EqualValues(t, 3, h.Length)

	read := func() string {
		_, err := r.Next(limits)
		require.NoError(t, err)
		p, err := r.Payload(nil)
		require.NoError(t, err)
		return string(p)
	}
	require.Equal(t, "one", read())
	require.Equal(t, 1, a.ended)
	require.Equal(t, "two2", read())
	_, err := r.Next(limits)
	require.NoError(t, err)
	require.NoError(t, r.Discard())
	require.Equal(t, 3, a.ended)

	h, ready = r.Ready(0)
	require.Equal(t, wire.Whole, ready, "%+v", h)
	require.Equal(t, "threefour", read())
	require.Equal(t, "here", read())
	require.Equal(t, 4, a.ended)
	_, ready = r.Ready(0)
	require.Equal(t, wire.HeaderOnly, ready)
	_, err = r.Next(limits)
	require.Equal(t, &wire.FrameError{Type: wire.TypeOutput, Length: 101, Max: 100}, err)
}
