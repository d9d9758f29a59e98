package protobuf_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/serialize/protobuf"
)

func codec(t *testing.T) serialize.Codec {
	t.Helper()
	c, err := serialize.CodecByName("protobuf")
	require.NoError(t, err)
	return c
}

func sample(t *testing.T) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(map[string]any{"a": []any{1, "x", nil, true}, "b": map[string]any{"c": 2.5}})
	require.NoError(t, err)
	return s
}

// The host and a guest speak it with each other.
func TestGuest(t *testing.T) {
	t.Parallel()
	mod, err := serialize.LoadModule(guesttest.BuildDir(t, "testdata/guest"))
	require.NoError(t, err)
	ex, err := executor.New(&executor.Options{
		Workers: 1, Codec: protobuf.Name, CacheDir: guesttest.CodeCache(t), WorkerPath: guesttest.Worker(t),
	})
	require.NoError(t, err)
	defer ex.Close()
	upper := executor.Func[*wrapperspb.StringValue, *wrapperspb.StringValue]{Module: mod, Name: "upper"}
	echo := executor.Func[*structpb.Struct, *structpb.Struct]{Module: mod, Name: "echo"}
	for range 3 {
		s, err := executor.Submit(t.Context(), ex, upper, wrapperspb.String("text")).Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, "TEXT", s.GetValue())
		got, err := executor.Submit(t.Context(), ex, echo, sample(t)).Wait(t.Context())
		require.NoError(t, err)
		require.True(t, proto.Equal(sample(t), got))
	}
	empty, err := executor.Submit(t.Context(), ex, upper, nil).Wait(t.Context())
	require.NoError(t, err)
	require.Empty(t, empty.GetValue())
	wrong := executor.Func[string, *structpb.Struct]{Module: mod, Name: "echo"}
	_, err = executor.Submit(t.Context(), ex, wrong, "text").Wait(t.Context())
	var se *serialize.Error
	require.ErrorAs(t, err, &se)
	require.ErrorContains(t, err, "string is no proto.Message")
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	b, err := serialize.Encode(codec(t), sample(t))
	require.NoError(t, err)
	again, err := serialize.Encode(codec(t), sample(t))
	require.NoError(t, err)
	require.Equal(t, b, again)
	var direct structpb.Struct
	require.NoError(t, serialize.Decode(codec(t), b, &direct))
	require.True(t, proto.Equal(sample(t), &direct))
	var pointer *structpb.Struct
	require.NoError(t, serialize.Decode(codec(t), b, &pointer))
	require.True(t, proto.Equal(sample(t), pointer))
}

func TestDecode_errors(t *testing.T) {
	t.Parallel()
	for _, v := range []any{nil, 5, new(int), new(*int), (**structpb.Struct)(nil), new(any)} {
		require.ErrorContains(t, serialize.Decode(codec(t), nil, v), "no proto.Message", "%T", v)
	}
	deep := structpb.NewNullValue()
	for range 300 {
		deep = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{deep}})
	}
	b, err := serialize.Encode(codec(t), deep)
	require.NoError(t, err)
	for _, in := range [][]byte{{0xff}, {0x0a, 0xff, 0xff, 0xff, 0xff, 0x07}, b} {
		require.Error(t, serialize.Decode(codec(t), in, new(structpb.Value)))
		var p *structpb.Value
		require.Error(t, serialize.Decode(codec(t), in, &p))
		require.Nil(t, p)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x0a\x05\x0a\x01a\x12\x00"))
	f.Fuzz(func(_ *testing.T, in []byte) {
		var p *structpb.Struct
		_ = serialize.Decode(protobuf.Codec{}, in, &p)
	})
}
