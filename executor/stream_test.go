package executor_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

// uppercase is a function that copies its input stream, with a buffer of that size.
type uppercase = executor.Func[int, int64]

func TestSubmitStream(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{})
	fn := uppercase{Module: fixture(t), Name: "copyupper"}
	text := strings.Repeat("sandpool ", 400_000) // more than any buffer on the way
	for name, in := range map[string]io.Reader{
		"as it comes": strings.NewReader(text), "in halves": iotest.HalfReader(strings.NewReader(text)), "error with data": iotest.DataErrReader(strings.NewReader(text)),
	} {
		var out bytes.Buffer
		n, err := executor.SubmitStream(t.Context(), ex, fn, 1<<20, executor.Streams{Input: in, Output: &out}).Wait(t.Context())
		require.NoError(t, err, name)
		require.EqualValues(t, len(text), n)
		require.Equal(t, strings.ToUpper(text), out.String())
	}
	for _, size := range []int{1, 100, 5000} {
		var out bytes.Buffer
		_, err := executor.SubmitStream(t.Context(), ex, fn, size, executor.Streams{Input: strings.NewReader("some text"), Output: &out}).Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, "SOME TEXT", out.String())
	}
	n, err := executor.SubmitStream(t.Context(), ex, executor.Func[struct{}, int]{Module: fixture(t), Name: "lines"}, struct{}{},
		executor.Streams{Input: strings.NewReader("a\nb\nc")}).Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, n)
}

// failingWriter takes some bytes and then fails.
type failingWriter struct{ left int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

type shortWriter struct{}

func (shortWriter) Write([]byte) (int, error) { return 0, nil }

// nothing is a reader that never has anything to say.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

func TestSubmitStream_errors(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{})
	fn := uppercase{Module: fixture(t), Name: "copyupper"}
	for _, c := range []struct {
		streams executor.Streams
		want    string
	}{
		{executor.Streams{Input: iotest.ErrReader(errors.New("unplugged")), Output: io.Discard}, "read: host function \"sandpool.read\": unplugged"},
		{executor.Streams{Input: nothing{}, Output: io.Discard}, io.ErrNoProgress.Error()},
		{executor.Streams{Input: strings.NewReader(strings.Repeat("x", 1000)), Output: &failingWriter{100}}, "write: host function \"sandpool.write\": disk full"},
		{executor.Streams{Input: strings.NewReader("x"), Output: shortWriter{}}, io.ErrShortWrite.Error()},
		{executor.Streams{Input: strings.NewReader("x")}, "the call has no output stream"},
	} {
		_, err := executor.SubmitStream(t.Context(), ex, fn, 64, c.streams).Wait(t.Context())
		g, ok := errors.AsType[*executor.GuestError](err)
		require.True(t, ok, "%v", err)
		require.Contains(t, g.Message, c.want)
	}
	n, err := executor.SubmitStream(t.Context(), ex, fn, 64, executor.Streams{}).Wait(t.Context())
	require.NoError(t, err, "no input is an empty one")
	require.Zero(t, n)

	// Who was not lent streams has none, and nobody can lend functions of these names.
	_, err = executor.Submit(t.Context(), ex, fn, 64).Wait(t.Context())
	require.ErrorContains(t, err, "not granted")
	_, err = executor.NewHostModule(executor.HostFunc("sandpool.read", func(context.Context, []byte) ([]byte, error) { return nil, nil }))
	require.ErrorContains(t, err, "the executor's own")
	for _, again := range []uppercase{{Module: fn.Module, Name: fn.Name, Idempotent: true}, {Module: fn.Module, Name: fn.Name, Pure: true}} {
		_, err := executor.SubmitStream(t.Context(), ex, again, 1, executor.Streams{}).Wait(t.Context())
		require.ErrorContains(t, err, "cannot be Idempotent or Pure")
	}
}

// A reader that blocks holds its call up and nothing else, and does not keep it when it
// is cancelled.
func TestSubmitStream_blocked(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	fn := uppercase{Module: fixture(t), Name: "copyupper"}
	r, w := io.Pipe()
	defer func() { _ = w.Close() }()
	var out bytes.Buffer
	f := executor.SubmitStream(t.Context(), ex, fn, 64, executor.Streams{Input: r, Output: &out})
	_, err := w.Write([]byte("begun"))
	require.NoError(t, err)
	require.Equal(t, executor.Running, f.Cancel())
	_, err = f.Wait(t.Context())
	require.ErrorIs(t, err, context.Canceled)
	n, err := executor.SubmitStream(t.Context(), ex, fn, 64, executor.Streams{Input: strings.NewReader("x"), Output: io.Discard}).Wait(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
}
