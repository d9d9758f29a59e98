package wasi_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/wasi"
)

// ofFD are the functions of a file descriptor, with arguments that fit, and what
// they answer for each of the streams.
var ofFD = []struct {
	name string
	args []uint64 // after the file descriptor
	want [3]uint32
}{
	{"fd_advise", []uint64{0, 0, 0}, [3]uint32{nosys, nosys, nosys}},
	{"fd_allocate", []uint64{0, 1}, [3]uint32{nosys, nosys, nosys}},
	{"fd_datasync", nil, [3]uint32{}},
	{"fd_fdstat_get", []uint64{0}, [3]uint32{}},
	{"fd_fdstat_set_flags", []uint64{0}, [3]uint32{}},
	{"fd_fdstat_set_rights", []uint64{0, 0}, [3]uint32{nosys, nosys, nosys}},
	{"fd_filestat_get", []uint64{0}, [3]uint32{}},
	{"fd_filestat_set_size", []uint64{0}, [3]uint32{nosys, nosys, nosys}},
	{"fd_filestat_set_times", []uint64{0, 0, 0}, [3]uint32{nosys, nosys, nosys}},
	{"fd_pread", []uint64{0, 0, 0, 0}, [3]uint32{spipe, spipe, spipe}},
	{"fd_prestat_dir_name", []uint64{0, 0}, [3]uint32{badf, badf, badf}},
	{"fd_prestat_get", []uint64{0}, [3]uint32{badf, badf, badf}},
	{"fd_pwrite", []uint64{0, 0, 0, 0}, [3]uint32{spipe, spipe, spipe}},
	{"fd_read", []uint64{0, 0, 0}, [3]uint32{success, badf, badf}},
	{"fd_readdir", []uint64{0, 0, 0, 0}, [3]uint32{nosys, nosys, nosys}},
	{"fd_renumber", []uint64{1}, [3]uint32{notsup, success, notsup}},
	{"fd_seek", []uint64{0, 0, 0}, [3]uint32{spipe, spipe, spipe}},
	{"fd_sync", nil, [3]uint32{}},
	{"fd_tell", []uint64{0}, [3]uint32{spipe, spipe, spipe}},
	{"fd_write", []uint64{0, 0, 0}, [3]uint32{badf, success, success}},
	{"fd_close", nil, [3]uint32{}},
}

func TestStreams(t *testing.T) {
	t.Parallel()
	w := newWorld()
	g := newGuest(t, w)
	for _, tc := range ofFD {
		w.State = 0
		for fd := range uint64(3) {
			require.Equal(t, tc.want[fd], g.call(tc.name, append([]uint64{fd}, tc.args...)...), "%s of %d", tc.name, fd)
		}
		for _, fd := range []uint64{3, 4, 5, 6, 9, 32, 1 << 31, 1<<32 - 1} {
			require.EqualValues(t, badf, g.call(tc.name, append([]uint64{fd}, tc.args...)...), "%s of %d", tc.name, fd)
		}
	}
	require.EqualValues(t, badf, g.call("fd_renumber", 1, 3))
}

func TestStreams_closed(t *testing.T) {
	t.Parallel()
	w := newWorld()
	g := newGuest(t, w)
	start := w.State
	require.Zero(t, start)
	for fd := range uint64(3) {
		w.State = start
		require.Zero(t, g.call("fd_close", fd))
		closed := w.State
		for _, tc := range ofFD {
			require.EqualValues(t, badf, g.call(tc.name, append([]uint64{fd}, tc.args...)...), "%s of %d", tc.name, fd)
			require.Equal(t, closed, w.State)
		}
		for other := range uint64(3) {
			if other != fd {
				require.Zero(t, g.call("fd_fdstat_get", other, 0), "%d is open", other)
				require.EqualValues(t, badf, g.call("fd_renumber", other, fd))
			}
		}
		w.State = start
		require.Zero(t, g.call("fd_fdstat_get", fd, 0), "put back to an earlier state")
	}
}

func TestFdstat(t *testing.T) {
	t.Parallel()
	const read, write, rest = 1 << 1, 1 << 6, 1<<0 | 1<<3 | 1<<4 | 1<<21 | 1<<27
	w := newWorld()
	g := newGuest(t, w)
	for fd, right := range []uint64{read, write, write} {
		fd := uint64(fd)
		for _, flags := range []uint64{0, 1, 4, 5, 0} { // append and nonblock
			require.Zero(t, g.call("fd_fdstat_set_flags", fd, flags))
			g.fill()
			require.Zero(t, g.call("fd_fdstat_get", fd, 8))
			want := le.AppendUint64([]byte{2, 0, byte(flags), 0, 0, 0, 0, 0}, right|rest)
			want = le.AppendUint64(want, 0)
			require.Equal(t, want, g.memory()[8:32])
			require.EqualValues(t, 0xee, g.memory()[7])
			require.EqualValues(t, 0xee, g.memory()[32])
		}
		for _, flags := range []uint64{2, 8, 16, 5 | 2, 32, 1 << 16, 1<<32 - 1} {
			require.EqualValues(t, inval, g.call("fd_fdstat_set_flags", fd, flags))
		}
		require.Zero(t, w.State)
	}
}

// TestFdstat_each sets flags of one stream only.
func TestFdstat_each(t *testing.T) {
	t.Parallel()
	w := newWorld()
	g := newGuest(t, w)
	seen := map[wasi.State]bool{}
	for fd := range uint64(3) {
		w.State = 0
		require.Zero(t, g.call("fd_fdstat_set_flags", fd, 5))
		require.False(t, seen[w.State])
		seen[w.State] = true
		for other := range uint64(3) {
			require.Zero(t, g.call("fd_fdstat_get", other, 0))
			require.Equal(t, other == fd, g.memory()[2] == 5)
		}
	}
	w.State = ^wasi.State(0)
	require.EqualValues(t, badf, g.call("fd_fdstat_get", 0, 0), "any state is valid")
}

func TestFilestat(t *testing.T) {
	t.Parallel()
	g := newGuest(t, newWorld())
	for fd := range uint64(3) {
		g.fill()
		require.Zero(t, g.call("fd_filestat_get", fd, 8))
		want := make([]byte, 64)
		want[16], want[24] = 2, 1
		require.Equal(t, want, g.memory()[8:72])
		require.EqualValues(t, 0xee, g.memory()[7])
		require.EqualValues(t, 0xee, g.memory()[72])
	}
}
