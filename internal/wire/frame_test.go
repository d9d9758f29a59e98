package wire_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/wire"
)

// all allows every type any length.
var all = wire.Limits{
	{Type: wire.TypeHello, Max: wire.MaxPayload},
	{Type: wire.TypeLoad, Max: wire.MaxPayload},
	{Type: wire.TypeBlob, Max: wire.MaxPayload},
	{Type: wire.TypeUnload, Max: wire.MaxPayload},
	{Type: wire.TypeCall, Max: wire.MaxPayload},
	{Type: wire.TypeHostRet, Max: wire.MaxPayload},
	{Type: wire.TypeRevoke, Max: wire.MaxPayload},
	{Type: wire.TypeCollect, Max: wire.MaxPayload},
	{Type: wire.TypeReady, Max: wire.MaxPayload},
	{Type: wire.TypeLoaded, Max: wire.MaxPayload},
	{Type: wire.TypeEntry, Max: wire.MaxPayload},
	{Type: wire.TypeResult, Max: wire.MaxPayload},
	{Type: wire.TypeFail, Max: wire.MaxPayload},
	{Type: wire.TypeHostCall, Max: wire.MaxPayload},
	{Type: wire.TypeRevoked, Max: wire.MaxPayload},
	{Type: wire.TypeCollected, Max: wire.MaxPayload},
}

// golden are frames as other programs would have to write them: one line per
// field, in the order and at the offsets of Header's comments.
var golden = []struct {
	name    string
	header  wire.Header
	payload string
	bytes   []string
}{
	{
		"every field differs",
		wire.Header{Type: wire.TypeCall, Flags: 0x0102, ID: 0x1112131415161718, Slot: 0x21222324, Code: 0x31323334, Time: 0x4142434445464748},
		"abc",
		[]string{"03000000", "01", "05", "0201", "1817161514131211", "24232221", "34333231", "4847464544434241"},
	},
	{
		"zero",
		wire.Header{Type: wire.TypeUnload},
		"",
		[]string{"00000000", "01", "04", "0000", "0000000000000000", "00000000", "00000000", "0000000000000000"},
	},
	{
		"largest",
		wire.Header{Type: wire.TypeHostCall, Flags: 0xffff, ID: 1<<64 - 1, Slot: 1<<32 - 1, Code: 1<<32 - 1, Time: -1},
		"x",
		[]string{"01000000", "01", "86", "ffff", "ffffffffffffffff", "ffffffff", "ffffffff", "ffffffffffffffff"},
	},
	{
		"negative time",
		wire.Header{Type: wire.TypeResult, ID: 1, Time: -2},
		"",
		[]string{"00000000", "01", "84", "0000", "0100000000000000", "00000000", "00000000", "feffffffffffffff"},
	},
	{
		"revocation of three calls",
		wire.Header{Type: wire.TypeRevoke, ID: 5, Code: 3},
		"",
		[]string{"00000000", "01", "07", "0000", "0500000000000000", "00000000", "03000000", "0000000000000000"},
	},
}

func TestHeader_golden(t *testing.T) {
	t.Parallel()
	for _, tc := range golden {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			want := strings.Join(tc.bytes, "") + hex.EncodeToString([]byte(tc.payload))
			var buf bytes.Buffer
			require.NoError(t, wire.NewWriter(&buf).Write(tc.header, []byte(tc.payload)))
			require.Equal(t, want, hex.EncodeToString(buf.Bytes()))
			require.Equal(t, wire.HeaderSize+len(tc.payload), buf.Len())

			tc.header.Length = uint32(len(tc.payload))
			require.Equal(t, "ff"+want[:2*wire.HeaderSize], hex.EncodeToString(tc.header.AppendTo([]byte{0xff})))

			r := wire.NewReader(&buf)
			h, err := r.Next(all)
			require.NoError(t, err)
			require.Equal(t, tc.header, h)
			got, err := r.Payload(nil)
			require.NoError(t, err)
			require.Equal(t, tc.payload, string(got))
		})
	}
}

func TestType_String(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, l := range all {
		name := l.Type.String()
		require.NotContains(t, name, "type", "0x%02x has no name", uint8(l.Type))
		require.False(t, seen[name], name)
		seen[name] = true
	}
	require.Equal(t, "type 0x7f", wire.Type(0x7f).String())
}

func TestErrors_text(t *testing.T) {
	t.Parallel()
	require.EqualError(t, &wire.VersionError{Got: 9}, "peer speaks protocol version 9, this program 1")
	require.EqualError(t, &wire.FrameError{Type: wire.TypeCall, Length: 5}, "unexpected CALL frame of 5 bytes")
	require.EqualError(t, &wire.FrameError{Type: wire.TypeCall, Length: 5, Max: 4}, "CALL frame of 5 bytes exceeds 4")
}
