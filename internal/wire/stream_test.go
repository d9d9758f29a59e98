package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/wire"
)

// small is the largest payload that shares a write with its header.
const small = 32 << 10

// header is a header as its bytes, which may lie about what follows.
func header(version byte, t wire.Type, length uint32) []byte {
	b := make([]byte, wire.HeaderSize)
	binary.LittleEndian.PutUint32(b, length)
	b[4], b[5] = version, byte(t)
	return b
}

// frames encodes one frame after the other.
func frames(t *testing.T, payloads ...[]byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := wire.NewWriter(&buf)
	for i, p := range payloads {
		require.NoError(t, w.Write(wire.Header{Type: wire.TypeCall, ID: uint64(i)}, p))
	}
	return buf.Bytes()
}

// allocated returns how many bytes f allocates. Tests that use it are not
// parallel.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// writes notes the size of each write.
type writes struct {
	bytes.Buffer
	sizes []int
}

func (w *writes) Write(p []byte) (int, error) {
	w.sizes = append(w.sizes, len(p))
	return w.Buffer.Write(p)
}

func TestReader_refusals(t *testing.T) {
	t.Parallel()
	limits := wire.Limits{{Type: wire.TypeCall, Max: 100}, {Type: wire.TypeLoad, Max: 10}, {Type: wire.TypeUnload}}
	for name, tc := range map[string]struct {
		in   []byte
		want error
	}{
		"version 0":             {header(0, wire.TypeCall, 0), &wire.VersionError{Got: 0}},
		"version 2":             {header(2, wire.TypeCall, 0), &wire.VersionError{Got: 2}},
		"version before type":   {header(255, 0x77, 1<<32-1), &wire.VersionError{Got: 255}},
		"unknown type":          {header(1, 0x77, 0), &wire.FrameError{Type: 0x77}},
		"type 0":                {header(1, 0, 0), &wire.FrameError{}},
		"known type, not now":   {header(1, wire.TypeHello, 7), &wire.FrameError{Type: wire.TypeHello, Length: 7}},
		"one byte over":         {header(1, wire.TypeCall, 101), &wire.FrameError{Type: wire.TypeCall, Length: 101, Max: 100}},
		"limit of its own type": {header(1, wire.TypeLoad, 11), &wire.FrameError{Type: wire.TypeLoad, Length: 11, Max: 10}},
		"4 GiB":                 {header(1, wire.TypeCall, 1<<32-1), &wire.FrameError{Type: wire.TypeCall, Length: 1<<32 - 1, Max: 100}},
		"payload where none":    {header(1, wire.TypeUnload, 1), &wire.FrameError{Type: wire.TypeUnload, Length: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := wire.NewReader(bytes.NewReader(tc.in))
			h, err := r.Next(limits)
			require.Equal(t, tc.want, err)
			require.Zero(t, h)
		})
	}
}

func TestReader_atLimit(t *testing.T) {
	t.Parallel()
	r := wire.NewReader(bytes.NewReader(frames(t, make([]byte, 100), nil)))
	limits := wire.Limits{{Type: wire.TypeCall, Max: 100}}
	h, err := r.Next(limits)
	require.NoError(t, err)
	require.EqualValues(t, 100, h.Length)
	require.NoError(t, r.Discard())
	_, err = r.Next(limits)
	require.NoError(t, err)
	p, err := r.Payload(nil)
	require.NoError(t, err)
	require.Empty(t, p)
}

func TestReader_noLimits(t *testing.T) {
	t.Parallel()
	_, err := wire.NewReader(bytes.NewReader(frames(t, nil))).Next(nil)
	require.Equal(t, &wire.FrameError{Type: wire.TypeCall}, err)
}

func TestReader_end(t *testing.T) {
	t.Parallel()
	whole := frames(t, []byte("payload"))
	for n := range whole {
		r := wire.NewReader(iotest.OneByteReader(bytes.NewReader(whole[:n])))
		_, err := r.Next(all)
		switch {
		case n == 0:
			require.Equal(t, io.EOF, err, "bare between frames")
			continue
		case n < wire.HeaderSize:
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d bytes", n)
			continue
		}
		require.NoError(t, err, "%d bytes", n)
		if n%2 == 0 {
			_, err = r.Payload(nil)
		} else {
			err = r.Discard()
		}
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d bytes", n)
	}
	r := wire.NewReader(bytes.NewReader(whole))
	_, err := r.Next(all)
	require.NoError(t, err)
	require.NoError(t, r.Discard())
	_, err = r.Next(all)
	require.Equal(t, io.EOF, err)
	_, err = r.Next(all)
	require.Equal(t, io.EOF, err, "and stays there")
}

func TestReader_endInReusedBuffer(t *testing.T) {
	t.Parallel()
	whole := frames(t, []byte("payload"))
	r := wire.NewReader(bytes.NewReader(whole[:len(whole)-1]))
	_, err := r.Next(all)
	require.NoError(t, err)
	_, err = r.Payload(make([]byte, 0, 100))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestReader_failure(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken pipe")
	whole := frames(t, []byte("payload"))
	for _, n := range []int{0, 5, wire.HeaderSize, wire.HeaderSize + 3} {
		r := wire.NewReader(io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(broken)))
		_, err := r.Next(all)
		if err == nil {
			_, err = r.Payload(nil)
		}
		require.ErrorIs(t, err, broken, "after %d bytes", n)
	}
}

func TestReader_unreadPayload(t *testing.T) {
	t.Parallel()
	r := wire.NewReader(bytes.NewReader(frames(t, []byte("first"), []byte("second"))))
	_, err := r.Next(all)
	require.NoError(t, err)
	_, err = r.Next(all)
	require.ErrorContains(t, err, "5 payload bytes left unread")
	p, err := r.Payload(nil)
	require.NoError(t, err, "the reader has kept its place")
	require.Equal(t, "first", string(p))
	_, err = r.Next(all)
	require.NoError(t, err)
	p, err = r.Payload(nil)
	require.NoError(t, err)
	require.Equal(t, "second", string(p))
}

func TestReader_discard(t *testing.T) {
	t.Parallel()
	// Larger than the reader's own buffer, so that skipping reads on.
	r := wire.NewReader(bytes.NewReader(frames(t, make([]byte, 5*small), []byte("next"))))
	_, err := r.Next(all)
	require.NoError(t, err)
	require.NoError(t, r.Discard())
	require.NoError(t, r.Discard(), "nothing is left")
	h, err := r.Next(all)
	require.NoError(t, err)
	require.EqualValues(t, 1, h.ID)
	p, err := r.Payload(nil)
	require.NoError(t, err)
	require.Equal(t, "next", string(p))
}

func TestReader_reusesBuffer(t *testing.T) {
	t.Parallel()
	r := wire.NewReader(bytes.NewReader(frames(t, []byte("longer one"), []byte("short"), nil, []byte("one too long for it"))))
	buf := make([]byte, 0, 10)
	for _, want := range []string{"longer one", "short", ""} {
		_, err := r.Next(all)
		require.NoError(t, err)
		p, err := r.Payload(buf)
		require.NoError(t, err)
		require.Equal(t, want, string(p))
		require.Same(t, &buf[:1][0], &p[:1][0], "the same memory")
	}
	_, err := r.Next(all)
	require.NoError(t, err)
	p, err := r.Payload(buf)
	require.NoError(t, err)
	require.Equal(t, "one too long for it", string(p))
	require.Equal(t, "short", string(buf[:5]), "untouched")
}

func TestReader_big(t *testing.T) {
	t.Parallel()
	for _, size := range []int{small - 1, small, small + 1, 1 << 20, 1<<20 + 1, 2 << 20, 5<<20 + 3} {
		payload := make([]byte, size)
		for i := range payload {
			payload[i] = byte(i * 31 >> 3)
		}
		r := wire.NewReader(iotest.HalfReader(bytes.NewReader(frames(t, payload, []byte("next")))))
		h, err := r.Next(all)
		require.NoError(t, err)
		require.EqualValues(t, size, h.Length)
		p, err := r.Payload(nil)
		require.NoError(t, err)
		require.True(t, bytes.Equal(payload, p), "%d bytes", size)
		require.Equal(t, size, cap(p), "no room to spare is kept")
		_, err = r.Next(all)
		require.NoError(t, err)
	}
}

//nolint:paralleltest // measures this process's allocations
func TestReader_lyingLength(t *testing.T) {
	const claimed = 256 << 20
	for name, tc := range map[string]struct {
		sent int
		most uint64
	}{
		"10 bytes": {10, 1<<20 + 64<<10},
		"3 MiB":    {3 << 20, 8 << 20}, // 1 + 2 + 4 MiB
	} {
		in := append(header(wire.Version, wire.TypeCall, claimed), make([]byte, tc.sent)...)
		r := wire.NewReader(bytes.NewReader(in))
		_, err := r.Next(all)
		require.NoError(t, err)
		got := allocated(func() { _, err = r.Payload(nil) })
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, name)
		require.Less(t, got, tc.most, name)
	}
}

//nolint:paralleltest // measures this process's allocations
func TestReader_overLimitAllocation(t *testing.T) {
	r := wire.NewReader(bytes.NewReader(header(wire.Version, wire.TypeCall, 1<<32-1)))
	limits := wire.Limits{{Type: wire.TypeCall, Max: 1 << 20}}
	var err error
	got := allocated(func() { _, err = r.Next(limits) })
	require.Error(t, err)
	require.Less(t, got, uint64(16<<10))
}

func TestWriter_writes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		payload int
		want    []int
	}{
		{0, []int{wire.HeaderSize}},
		{1, []int{wire.HeaderSize + 1}},
		{small, []int{wire.HeaderSize + small}},
		{small + 1, []int{wire.HeaderSize, small + 1}},
		{1 << 20, []int{wire.HeaderSize, 1 << 20}},
	} {
		var out writes
		w := wire.NewWriter(&out)
		for range 2 { // the second has the first one's buffer
			out.sizes = nil
			require.NoError(t, w.Write(wire.Header{Type: wire.TypeCall, Length: 12345}, make([]byte, tc.payload)))
			require.Equal(t, tc.want, out.sizes)
		}
	}
}

func TestWriter_parts(t *testing.T) {
	t.Parallel()
	half, whole := make([]byte, small/2), make([]byte, small)
	for _, tc := range []struct {
		parts [][]byte
		want  []int
	}{
		{nil, []int{wire.HeaderSize}},
		{[][]byte{nil, {}}, []int{wire.HeaderSize}},
		{[][]byte{[]byte("a"), nil, []byte("b")}, []int{wire.HeaderSize + 2}},
		{[][]byte{half, half}, []int{wire.HeaderSize + small}},
		{[][]byte{whole, nil, []byte("b")}, []int{wire.HeaderSize, small, 1}},
	} {
		var out writes
		w := wire.NewWriter(&out)
		require.NoError(t, w.Write(wire.Header{Type: wire.TypeResult}, tc.parts...))
		require.Equal(t, tc.want, out.sizes)
		r := wire.NewReader(&out)
		_, err := r.Next(all)
		require.NoError(t, err)
		p, err := r.Payload(nil)
		require.NoError(t, err)
		require.True(t, bytes.Equal(bytes.Join(tc.parts, nil), p))
	}
}

func TestWriter_oversize(t *testing.T) {
	t.Parallel()
	parts := make([][]byte, 4096) // 4 GiB, of one MiB that is there
	mib := make([]byte, 1<<20)
	for i := range parts {
		parts[i] = mib
	}
	var out writes
	err := wire.NewWriter(&out).Write(wire.Header{Type: wire.TypeCall}, parts...)
	require.Equal(t, &wire.FrameError{Type: wire.TypeCall, Length: wire.MaxPayload, Max: wire.MaxPayload}, err)
	require.Empty(t, out.sizes)
}

func TestWriter_leavesNothingBehind(t *testing.T) {
	t.Parallel()
	var out writes
	w := wire.NewWriter(&out)
	require.NoError(t, w.Write(wire.Header{Type: wire.TypeCall, ID: 1}, bytes.Repeat([]byte("x"), small)))
	require.NoError(t, w.Write(wire.Header{Type: wire.TypeCall, ID: 2}, []byte("y")))
	r := wire.NewReader(&out)
	for i, want := range []int{small, 1} {
		h, err := r.Next(all)
		require.NoError(t, err)
		require.EqualValues(t, i+1, h.ID)
		p, err := r.Payload(nil)
		require.NoError(t, err)
		require.Len(t, p, want)
	}
}

func TestWriter_chunks(t *testing.T) {
	t.Parallel()
	for size, want := range map[int][]int{
		0:                     nil,
		1:                     {1},
		wire.MaxChunk:         {wire.MaxChunk},
		wire.MaxChunk + 1:     {wire.MaxChunk, 1},
		2*wire.MaxChunk + 100: {wire.MaxChunk, wire.MaxChunk, 100},
	} {
		data := bytes.Repeat([]byte("0123456789abcdef!"), size/17+1)[:size]
		var out bytes.Buffer
		require.NoError(t, wire.NewWriter(&out).WriteChunks(wire.Header{Type: wire.TypeBlob, Slot: 7}, data))
		r := wire.NewReader(&out)
		var got []int
		var joined []byte
		for {
			h, err := r.Next(wire.Limits{{Type: wire.TypeBlob, Max: wire.MaxChunk}})
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			require.EqualValues(t, 7, h.Slot)
			p, err := r.Payload(nil)
			require.NoError(t, err)
			got, joined = append(got, len(p)), append(joined, p...)
		}
		require.Equal(t, want, got)
		require.True(t, bytes.Equal(data, joined))
	}
}

// failing lets n writes pass.
type failing struct{ n int }

var errClosed = errors.New("closed")

func (f *failing) Write(p []byte) (int, error) {
	if f.n--; f.n < 0 {
		return 0, errClosed
	}
	return len(p), nil
}

func TestWriter_failure(t *testing.T) {
	t.Parallel()
	h := wire.Header{Type: wire.TypeBlob}
	require.ErrorIs(t, wire.NewWriter(&failing{0}).Write(h, nil), errClosed)
	require.ErrorIs(t, wire.NewWriter(&failing{1}).Write(h, make([]byte, small+1)), errClosed)
	require.ErrorIs(t, wire.NewWriter(&failing{2}).WriteChunks(h, make([]byte, 2*wire.MaxChunk)), errClosed)
}

//nolint:paralleltest // measures this process's allocations
func TestAllocations_perFrame(t *testing.T) {
	var buf bytes.Buffer
	w, r := wire.NewWriter(&buf), wire.NewReader(&buf)
	payload, in := make([]byte, 1024), make([]byte, 1024)
	frame := func() {
		if err := w.Write(wire.Header{Type: wire.TypeCall}, payload); err != nil {
			panic(err)
		}
		if _, err := r.Next(all); err != nil {
			panic(err)
		}
		if _, err := r.Payload(in); err != nil {
			panic(err)
		}
	}
	frame() // buffers
	require.Zero(t, testing.AllocsPerRun(100, frame))
}

func TestWriter_append(t *testing.T) {
	t.Parallel()
	call := func(id uint64) wire.Header { return wire.Header{Type: wire.TypeCall, ID: id, Length: 99} }
	var out writes
	w := wire.NewWriter(&out)
	require.NoError(t, w.Flush(), "nothing to send")
	require.Empty(t, out.sizes)

	payload := []byte("one")
	w.Append(call(1), payload)
	copy(payload, "xxx") // it was copied
	w.Append(call(2), nil)
	w.Append(call(3), make([]byte, small))
	w.Append(call(4), []byte("four"))
	require.Empty(t, out.sizes, "only Flush writes")
	require.NoError(t, w.Flush())
	require.NoError(t, w.Flush(), "once")
	require.Equal(t, []int{4*wire.HeaderSize + 3 + small + 4}, out.sizes)

	r := wire.NewReader(&out)
	for i, want := range []string{"one", "", string(make([]byte, small)), "four"} {
		h, err := r.Next(all)
		require.NoError(t, err)
		require.Equal(t, wire.Header{Type: wire.TypeCall, ID: uint64(i + 1), Length: uint32(len(want))}, h)
		p, err := r.Payload(nil)
		require.NoError(t, err)
		require.Equal(t, want, string(p))
	}
	_, err := r.Next(all)
	require.ErrorIs(t, err, io.EOF)
}

func TestWriter_appendThenWrite(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		last int
		want []int
	}{
		{1, []int{2*wire.HeaderSize + 3}},
		{small, []int{2*wire.HeaderSize + 2 + small}},
		{small + 1, []int{2*wire.HeaderSize + 2, small + 1}},
	} {
		var out writes
		w := wire.NewWriter(&out)
		w.Append(wire.Header{Type: wire.TypeCall, ID: 1}, []byte("ab"))
		require.NoError(t, w.Write(wire.Header{Type: wire.TypeCall, ID: 2}, make([]byte, tc.last)))
		require.Equal(t, tc.want, out.sizes)
		r := wire.NewReader(&out)
		for i, size := range []int{2, tc.last} {
			h, err := r.Next(all)
			require.NoError(t, err)
			require.EqualValues(t, i+1, h.ID, "in order")
			require.EqualValues(t, size, h.Length)
			require.NoError(t, r.Discard())
		}
	}
}

func TestWriter_appendFailure(t *testing.T) {
	t.Parallel()
	w := wire.NewWriter(&failing{0})
	w.Append(wire.Header{Type: wire.TypeCall}, nil)
	require.ErrorIs(t, w.Flush(), errClosed)
	require.NoError(t, w.Flush(), "it is not tried again")
}

// Ready tells what is there without waiting for more, byte by byte as it comes.
func TestReader_ready(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.NoError(t, wire.NewWriter(&b).Write(wire.Header{Type: wire.TypeResult, ID: 7}, []byte("text")))
	frame := b.Bytes()
	for have := range len(frame) + 1 {
		r := wire.NewReader(bytes.NewReader(frame[:have]))
		h, ready := r.Ready(have)
		switch {
		case have < wire.HeaderSize:
			require.Equal(t, wire.Nothing, ready)
			require.Zero(t, h)
			continue
		case have < len(frame):
			require.Equal(t, wire.HeaderOnly, ready)
		default:
			require.Equal(t, wire.Whole, ready)
		}
		require.Equal(t, wire.Header{Type: wire.TypeResult, ID: 7, Length: 4}, h)
	}
	r := wire.NewReader(bytes.NewReader(frame))
	_, err := r.Next(wire.Limits{{Type: wire.TypeResult, Max: 4}})
	require.NoError(t, err)
	_, ready := r.Ready(4)
	require.Equal(t, wire.Nothing, ready, "a payload is left unread")
}
