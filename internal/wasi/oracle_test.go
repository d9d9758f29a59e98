package wasi_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// newOracle returns a guest of the engine's own WASI that sees the same as the
// guests of w.
func newOracle(t *testing.T, w *world) (g guest, stdout, stderr *bytes.Buffer) {
	t.Helper()
	r := newRuntime(t)
	_, err := wasi_snapshot_preview1.Instantiate(t.Context(), r)
	require.NoError(t, err)
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	config := wazero.NewModuleConfig().
		WithStdout(stdout).WithStderr(stderr).
		WithArgs(w.Args...).
		WithWalltime(w.Walltime, sys.ClockResolution(1000)).
		WithNanotime(w.Nanotime, 1).
		WithRandSource(counting{})
	for _, e := range w.Env {
		key, value, _ := strings.Cut(e, "=")
		config = config.WithEnv(key, value)
	}
	return instantiate(t, r, forwarder(1), config), stdout, stderr
}

type counting struct{}

func (counting) Read(p []byte) (int, error) {
	countUp(p)
	return len(p), nil
}

var _ io.Reader = counting{}

// agreed are calls that both must answer alike, with the same bytes in memory if
// they succeed. Memory begins with "abcdefgh"; there are lists of buffers at 256,
// 320 and 384.
var agreed = []struct {
	name string
	args [][]uint64
}{
	{"args_sizes_get", [][]uint64{{0, 4}, {4, 0}, {0, 0}, {memSize - 4, 0}, {0, memSize - 4}, {memSize - 3, 0}, {0, memSize - 3}, {1<<32 - 1, 0}}},
	{"args_get", [][]uint64{{512, 1024}, {memSize - 12, 0}, {memSize - 11, 0}, {0, memSize - 17}, {0, memSize - 16}, {0, 1<<32 - 1}}},
	{"environ_sizes_get", [][]uint64{{0, 4}, {memSize - 4, 0}, {memSize - 3, 0}, {0, 1<<32 - 1}}},
	{"environ_get", [][]uint64{{512, 1024}, {memSize - 8, 0}, {memSize - 7, 0}, {0, memSize - 28}, {0, memSize - 27}}},
	{"clock_res_get", [][]uint64{{0, 8}, {1, 8}, {4, 8}, {0, memSize - 8}, {0, memSize - 7}}},
	{"clock_time_get", [][]uint64{{0, 0, 8}, {1, 0, 8}, {1, 1 << 40, 8}, {4, 0, 8}, {1, 0, memSize - 7}}},
	{"random_get", [][]uint64{{8, 0}, {8, 100}, {0, memSize}, {1, memSize}, {memSize, 0}, {memSize + 1, 0}, {1<<32 - 1, 1}, {8, 1<<32 - 1}}},
	{"fd_write", [][]uint64{
		{1, 256, 1, 128},
		{2, 256, 1, 128},
		{1, 256, 2, 128},
		{1, 256, 0, 128},
		{1, 320, 3, 128},
		{0, 256, 1, 128},
		{3, 256, 1, 128},
		{1<<32 - 1, 256, 1, 128},
		{1, memSize - 7, 1, 128},
		{1, memSize, 0, 128},
		{1, memSize + 1, 0, 128},
		{2, 384, 1, 128},
		{1, 256, 1, memSize - 4},
		{1, 256, 1 << 28, 128},
	}},
	{"fd_read", [][]uint64{{0, 256, 1, 128}, {0, 256, 0, 128}, {1, 256, 1, 128}, {2, 256, 1, 128}, {3, 256, 1, 128}, {0, 384, 1, 128}, {0, 256, 1, memSize - 3}}},
	{"fd_prestat_get", [][]uint64{{3, 8}, {4, 8}, {1<<32 - 1, 8}}},
	{"fd_prestat_dir_name", [][]uint64{{3, 8, 8}, {4, 8, 0}}},
	{"fd_fdstat_get", [][]uint64{{3, 8}, {0, memSize - 23}, {1<<32 - 1, 8}}},
	{"fd_filestat_get", [][]uint64{{3, 8}, {2, memSize - 63}}},
	{"fd_fdstat_set_flags", [][]uint64{{0, 0}, {1, 1}, {1, 2}, {2, 8}, {2, 16}, {3, 0}, {9, 1}}},
	{"fd_fdstat_set_rights", [][]uint64{{0, 0, 0}, {1, 1, 1}}},
	{"fd_renumber", [][]uint64{{1, 2}, {2, 0}, {3, 1}, {9, 9}, {1<<32 - 1, 0}}},
	{"fd_sync", [][]uint64{{0}, {1}, {2}, {3}}},
	{"fd_datasync", [][]uint64{{0}, {1}, {2}, {3}}},
	{"fd_seek", [][]uint64{{3, 0, 0, 8}}},
	{"fd_pread", [][]uint64{{3, 256, 1, 0, 8}}},
	{"fd_readdir", [][]uint64{{3, 8, 100, 0, 4}}},
	{"fd_close", [][]uint64{{0}, {0}, {2}, {2}, {3}, {1<<32 - 1}}},
	{"poll_oneoff", [][]uint64{{512, 1024, 0, 8}, {512, 1024, 1, 8}, {512, memSize - 31, 1, 8}, {memSize - 47, 1024, 1, 8}, {512, 1024, 1, memSize - 3}}},
	{"proc_raise", [][]uint64{{9}}},
	{"sched_yield", [][]uint64{{}}},
}

func TestOracle(t *testing.T) {
	t.Parallel()
	for _, tc := range agreed {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			ours := newGuest(t, w)
			theirs, stdout, stderr := newOracle(t, w)
			for _, args := range tc.args {
				for _, g := range []guest{ours, theirs} {
					g.fill()
					copy(g.memory(), "abcdefgh")
					g.iovecs(256, 0, 5, 3, 4)
					g.iovecs(320, 0, 0, 2, 2, 0, 1)
					g.iovecs(384, memSize-4, 5)
					copy(g.memory()[512:], clockSub(mono, 5, 0))
				}
				want := theirs.call(tc.name, args...)
				require.Equal(t, want, ours.call(tc.name, args...), "%v", args)
				if want == success {
					require.Equal(t, theirs.memory(), ours.memory(), "%v", args)
				}
			}
			require.Equal(t, stdout.String(), w.stdout.String())
			require.Equal(t, stderr.String(), w.stderr.String())
		})
	}
}

// TestOracle_differs is what the engine's WASI answers otherwise, so that nobody
// looks for it twice.
func TestOracle_differs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name         string
		args         []uint64
		ours, theirs uint32
	}{
		{"clock_time_get", []uint64{2, 0, 8}, notsup, inval},
		{"clock_res_get", []uint64{3, 8}, notsup, inval},
		{"fd_fdstat_set_flags", []uint64{1, 4}, success, nosys},
		{"fd_fdstat_set_rights", []uint64{3, 0, 0}, badf, nosys},
		{"fd_read", []uint64{1, 256, 0, 128}, badf, success}, // with nothing to read
		{"fd_prestat_get", []uint64{0, 8}, badf, success},    // as if it were a directory
		{"fd_renumber", []uint64{1, 3}, badf, notsup},
		{"fd_seek", []uint64{1, 0, 0, 8}, spipe, nosys},
		{"fd_tell", []uint64{1, 8}, spipe, nosys},
		{"fd_pwrite", []uint64{1, 256, 1, 0, 8}, spipe, badf},
		{"fd_write", []uint64{1, 272, 1, 128}, success, fault}, // no bytes from outside
		{"path_open", []uint64{3, 0, 0, 1, 0, 0, 0, 0, 8}, nosys, badf},
		{"sock_shutdown", []uint64{3, 1}, nosys, badf},
	} {
		t.Run(fmt.Sprint(tc.name, tc.args), func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			ours := newGuest(t, w)
			theirs, _, _ := newOracle(t, w)
			for _, g := range []guest{ours, theirs} {
				g.iovecs(256, 0, 5, 0, 0, 1<<31, 0)
			}
			require.Equal(t, tc.ours, ours.call(tc.name, tc.args...))
			require.Equal(t, tc.theirs, theirs.call(tc.name, tc.args...))
		})
	}
	w := newWorld()
	ours := newGuest(t, w)
	theirs, _, _ := newOracle(t, w)
	require.Zero(t, ours.call("fd_filestat_get", 1, 8))
	require.Zero(t, theirs.call("fd_filestat_get", 1, 8))
	require.EqualValues(t, 2, ours.memory()[24], "a character device")
	require.EqualValues(t, 1, theirs.memory()[24], "a block device")
	ours.memory()[24] = 1
	require.Equal(t, theirs.memory(), ours.memory())
}
