package wasmworker_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/wasmworker"
)

// host answers n log lines in advance.
func host(t *testing.T, n int, id uint64) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := wire.NewWriter(&b)
	for range n {
		require.NoError(t, w.Write(wire.Header{Type: wire.TypeHostRet, ID: id}, nil))
	}
	return &b
}

// logged returns the lines that a host got.
func logged(t *testing.T, replies io.Reader, stream uint16) []string {
	t.Helper()
	r := wire.NewReader(replies)
	lines := []string{}
	for {
		h, err := r.Next(wire.Limits{{Type: wire.TypeHostCall, Max: wire.MaxLogLine}})
		if errors.Is(err, io.EOF) {
			return lines
		}
		require.NoError(t, err)
		require.Equal(t, wire.Header{Length: h.Length, Type: wire.TypeHostCall, Flags: stream, ID: 7, Slot: wire.HostLog}, h)
		p, err := r.Payload(nil)
		require.NoError(t, err)
		lines = append(lines, string(p))
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", wire.MaxLogLine)
	for name, tc := range map[string]struct {
		writes, want []string
	}{
		"nothing":           {nil, []string{}},
		"empty write":       {[]string{""}, []string{}},
		"line":              {[]string{"a\n"}, []string{"a"}},
		"lines":             {[]string{"a\nb\nc\n"}, []string{"a", "b", "c"}},
		"no newline at end": {[]string{"a\nb"}, []string{"a", "b"}},
		"in pieces":         {[]string{"a", "b", "c\nd", "e\n"}, []string{"abc", "de"}},
		"empty lines":       {[]string{"\n\na\n\n"}, []string{"", "", "a", ""}},
		"newline alone":     {[]string{"a", "\n", "b"}, []string{"a", "b"}},
		"carriage return":   {[]string{"a\r\nb"}, []string{"a\r", "b"}},
		"bytes":             {[]string{"\xff\x00\n"}, []string{"\xff\x00"}},
		"longest":           {[]string{long + "\n", "b"}, []string{long, "b"}},
		"one over":          {[]string{long + "y\nb"}, []string{long, "y", "b"}},
		"long, no newline":  {[]string{long + long + "y"}, []string{long, long, "y"}},
		"long in pieces":    {[]string{long[1:], "y", "z\n"}, []string{long[1:] + "y", "z"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var replies bytes.Buffer
			l := wasmworker.NewLines(host(t, 10, 7), &replies, wire.StreamStdout, 1<<20)
			for _, s := range tc.writes {
				n, err := l.Write([]byte(s))
				require.NoError(t, err)
				require.Equal(t, len(s), n)
			}
			l.Flush()
			l.Flush()
			require.Equal(t, tc.want, logged(t, &replies, wire.StreamStdout))
			require.Empty(t, l.Tail(), "only of standard error")
		})
	}
}

func TestLines_tail(t *testing.T) {
	t.Parallel()
	for _, writes := range [][]string{
		{"short\n"},
		{strings.Repeat("0123456789", 2*wasmworker.KeepStderr)},
		{strings.Repeat("a", wasmworker.KeepStderr), "b"},
		{strings.Repeat("a", wasmworker.KeepStderr-1), "b", "cd"},
		{"x", strings.Repeat("0123456789", wasmworker.KeepStderr), "y"},
	} {
		var replies bytes.Buffer
		l := wasmworker.NewLines(host(t, 10, 7), &replies, wire.StreamStderr, 1<<20)
		for _, s := range writes {
			_, err := l.Write([]byte(s))
			require.NoError(t, err)
		}
		all := strings.Join(writes, "")
		require.Equal(t, all[max(0, len(all)-wasmworker.KeepStderr):], l.Tail())
	}
}

func TestLines_limit(t *testing.T) {
	t.Parallel()
	var replies bytes.Buffer
	l := wasmworker.NewLines(host(t, 10, 7), &replies, wire.StreamStdout, 40)
	_, err := l.Write([]byte("1234\n")) // and 16 bytes of bookkeeping
	require.NoError(t, err)
	require.Panics(t, func() { _, _ = l.Write([]byte("12345\n")) }, "ends the call")
	require.Equal(t, []string{"1234"}, logged(t, &replies, wire.StreamStdout))
	require.Equal(t, wire.KindLimit, l.Abort().Kind())
	require.Equal(t, wire.Failure{Limit: guestabi.LimitStdout, Max: 40, Used: 41}, l.Abort().Failure)
}

func TestLines_brokenHost(t *testing.T) {
	t.Parallel()
	for name, requests := range map[string]io.Reader{
		"gone":         &bytes.Buffer{},
		"another call": host(t, 1, 8),
		"garbage":      strings.NewReader(strings.Repeat("garbage ", 10)),
	} {
		l := wasmworker.NewLines(requests, io.Discard, wire.StreamStdout, 1<<20)
		require.Panics(t, func() { _, _ = l.Write([]byte("x\n")) }, name)
		require.Equal(t, wire.KindInternal, l.Abort().Kind(), name)
	}
}
