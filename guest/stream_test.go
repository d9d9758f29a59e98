package guest_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/guest"
)

func TestInputStream(t *testing.T) {
	t.Parallel()
	data := []byte("stream")
	h := &guest.FakeHost{Answer: func(name string, input []byte) (uint32, []byte) {
		require.Equal(t, "sandpool.read", name)
		n := min(binary.LittleEndian.Uint32(input), uint32(len(data)))
		var piece []byte
		piece, data = data[:n], data[n:]
		return 0, piece
	}}
	n, err := h.ReadStream(nil)
	require.NoError(t, err)
	require.Zero(t, n)
	buf := make([]byte, 4)
	for _, want := range []string{"stre", "am"} {
		n, err := h.ReadStream(buf)
		require.NoError(t, err)
		require.Equal(t, want, string(buf[:n]))
	}
	_, err = h.ReadStream(buf)
	require.Equal(t, io.EOF, err)
}

func TestInputStream_errors(t *testing.T) {
	t.Parallel()
	h := &guest.FakeHost{Answer: func(string, []byte) (uint32, []byte) { return 1, []byte("unplugged") }}
	_, err := h.ReadStream(make([]byte, 1))
	var failed *guest.HostError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "unplugged", failed.Message)
	h.Answer = func(string, []byte) (uint32, []byte) { return 0, []byte("more than was asked for") }
	_, err = h.ReadStream(make([]byte, 1))
	require.ErrorContains(t, err, "more bytes than were asked for")
}

func TestOutputStream(t *testing.T) {
	t.Parallel()
	var got []byte
	calls := 0
	h := &guest.FakeHost{Answer: func(name string, input []byte) (uint32, []byte) {
		require.Equal(t, "sandpool.write", name)
		if calls++; calls > 2 {
			return 1, []byte("disk full")
		}
		got = append(got, input...)
		return 0, nil
	}}
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	n, err := h.WriteStream(data)
	require.NoError(t, err)
	require.Equal(t, len(data), n)
	require.Equal(t, data, got)
	n, err = h.WriteStream([]byte("x"))
	require.ErrorContains(t, err, "disk full")
	require.Zero(t, n)
}
