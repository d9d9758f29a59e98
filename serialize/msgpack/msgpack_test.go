package msgpack_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/serialize/msgpack"
)

type event struct {
	Name string            `msgpack:"n"`
	Tags map[string]string `msgpack:"t"`
	At   time.Time         `msgpack:"at"`
	Data []byte            `msgpack:"d"`
	Next []event           `msgpack:"next"`
}

var sample = event{
	Name: "é", Tags: map[string]string{"a": "1"}, At: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Data: []byte{0, 255},
	Next: []event{{Name: strings.Repeat("x", 70_000)}},
}

func codec(t *testing.T) serialize.Codec {
	t.Helper()
	c, err := serialize.CodecByName("msgpack")
	require.NoError(t, err)
	return c
}

// The host and a guest speak it with each other.
func TestGuest(t *testing.T) {
	t.Parallel()
	mod, err := serialize.LoadModule(guesttest.BuildDir(t, "testdata/guest"))
	require.NoError(t, err)
	ex, err := executor.New(&executor.Options{
		Workers: 1, Codec: msgpack.Name, CacheDir: guesttest.CodeCache(t), WorkerPath: guesttest.Worker(t),
	})
	require.NoError(t, err)
	defer ex.Close()
	later := executor.Func[event, event]{Module: mod, Name: "later"}
	for range 3 {
		got, err := executor.Submit(t.Context(), ex, later, sample).Wait(t.Context())
		require.NoError(t, err)
		require.True(t, sample.At.Add(time.Hour).Equal(got.At))
		got.At = sample.At
		require.Equal(t, sample.Tags, got.Tags)
		require.Equal(t, sample.Next[0].Name, got.Next[0].Name)
	}
	_, err = executor.Submit(t.Context(), ex, executor.Func[[]int, event]{Module: mod, Name: "later"}, []int{1}).Wait(t.Context())
	var ge *executor.GuestError
	require.ErrorAs(t, err, &ge)
	require.Equal(t, executor.CodeInput, ge.Code)
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	b, err := serialize.Encode(codec(t), sample)
	require.NoError(t, err)
	var got event
	require.NoError(t, serialize.Decode(codec(t), b, &got))
	require.True(t, sample.At.Equal(got.At))
	got.At = sample.At
	require.Equal(t, sample.Data, got.Data)
	require.Equal(t, sample.Name, got.Name)
}

// Every format of the specification, and each cut short.
func TestDecode_formats(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"\x00", "\x7f", "\x80", "\x81\xa1a\x01", "\x90", "\x92\x01\x02", "\xa0", "\xa2\xc3\xa9", "\xc0", "\xc2", "\xc3",
		"\xc4\x01x", "\xc5\x00\x01x", "\xc6\x00\x00\x00\x01x", "\xca\x00\x00\x00\x00", "\xcb\x00\x00\x00\x00\x00\x00\x00\x00",
		"\xcc\x01", "\xcd\x00\x01", "\xce\x00\x00\x00\x01", "\xcf\x00\x00\x00\x00\x00\x00\x00\x01",
		"\xd0\x01", "\xd1\x00\x01", "\xd2\x00\x00\x00\x01", "\xd3\x00\x00\x00\x00\x00\x00\x00\x01", "\xd6\xff\x00\x00\x00\x01",
		"\xd7\xff\x00\x00\x00\x00\x00\x00\x00\x01", "\xc7\x0c\xff\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01",
		"\xd9\x01x", "\xda\x00\x01x", "\xdb\x00\x00\x00\x01x", "\xdc\x00\x01\x01", "\xdd\x00\x00\x00\x01\x01",
		"\xde\x00\x01\xa1a\x01", "\xdf\x00\x00\x00\x01\xa1a\x01", "\xe0", "\xff",
	} {
		var v any
		require.NoError(t, serialize.Decode(codec(t), []byte(in), &v), "%x", in)
		require.ErrorContains(t, serialize.Decode(codec(t), []byte(in+"\x01"), &v), "bytes after the value", "%x", in)
		for n := range len(in) {
			require.Error(t, serialize.Decode(codec(t), []byte(in[:n]), &v), "%x", in[:n])
		}
	}
}

func TestDecode_hostile(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, text string }{
		"unused":      {"\xc1", "0xc1"},
		"array":       {"\xdd\xff\xff\xff\xff\x01", "unexpected EOF"},
		"map":         {"\xdf\xff\xff\xff\xff\x01", "unexpected EOF"},
		"bytes":       {"\xc6\xff\xff\xff\xff\x01", "unexpected EOF"},
		"text":        {"\xdb\xff\xff\xff\xff\x01", "unexpected EOF"},
		"ext":         {"\xc9\xff\xff\xff\xff\x01", "unexpected EOF"},
		"deep arrays": {strings.Repeat("\x91", 257) + "\x01", "deeper than 256"},
		"deep maps":   {strings.Repeat("\x81\x01", 1<<20) + "\x01", "deeper than 256"},
		"invalid":     {"\xa2\xc3\x28", "not UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, v := range []any{new(any), new([]int), new(map[string]any), new(event), new(string), new([]byte)} {
				require.ErrorContains(t, serialize.Decode(codec(t), []byte(tc.in), v), tc.text)
			}
		})
	}
	var v any
	require.NoError(t, serialize.Decode(codec(t), append(bytes.Repeat([]byte{0x91}, 256), 1), &v))
}

func FuzzDecode(f *testing.F) {
	b, err := msgpack.Codec{}.Encode(sample)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("\xdf\x00\x00\x00\x01\xa1a\xd7\xff\x00\x00\x00\x00\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, v := range []any{new(any), new(event), new([]map[string]int)} {
			// A panic of the decoder is an error like others.
			_ = serialize.Decode(msgpack.Codec{}, in, v)
		}
	})
}
