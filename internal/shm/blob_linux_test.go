package shm_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sandpool/sandpool/internal/shm"
)

// duplicate is what a worker receives: another descriptor of the same file.
func duplicate(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	return os.NewFile(uintptr(fd), "duplicate")
}

func newBlob(t *testing.T, data string) *shm.Blob {
	t.Helper()
	b, err := shm.NewBlob("test", []byte(data))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func TestMap(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"x", "shared", strings.Repeat("page", 5000)} {
		b, err := shm.NewBlob("test", []byte(content))
		require.NoError(t, err)
		f := duplicate(t, b.File())
		data, release, err := shm.Map(f, uint64(len(content)))
		require.NoError(t, err)
		require.NoError(t, b.Close())
		require.Equal(t, content, string(data), "also when the host has closed it")
		require.ErrorIs(t, f.Close(), os.ErrClosed, "Map has closed the descriptor")
		release()
	}
}

func TestMap_empty(t *testing.T) {
	t.Parallel()
	data, release, err := shm.Map(duplicate(t, newBlob(t, "").File()), 0)
	require.NoError(t, err)
	require.Empty(t, data)
	release()
}

func TestMap_refusals(t *testing.T) {
	t.Parallel()
	memfd := func(t *testing.T, seals int) *os.File {
		t.Helper()
		fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		require.NoError(t, err)
		f := os.NewFile(uintptr(fd), "test")
		_, err = f.WriteString("content")
		require.NoError(t, err)
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals)
		require.NoError(t, err)
		return f
	}
	for name, tc := range map[string]struct {
		file func(t *testing.T) *os.File
		size uint64
		want string
	}{
		"too short": {func(t *testing.T) *os.File { t.Helper(); return duplicate(t, newBlob(t, "content").File()) }, 8, "7 bytes, 8 announced"},
		"too long":  {func(t *testing.T) *os.File { t.Helper(); return duplicate(t, newBlob(t, "content").File()) }, 6, "7 bytes, 6 announced"},
		"not empty": {func(t *testing.T) *os.File { t.Helper(); return duplicate(t, newBlob(t, "content").File()) }, 0, "7 bytes, 0 announced"},
		"huge":      {func(t *testing.T) *os.File { t.Helper(); return duplicate(t, newBlob(t, "content").File()) }, 1<<64 - 1, "announced"},
		"unsealed":  {func(t *testing.T) *os.File { t.Helper(); return memfd(t, 0) }, 7, "not sealed"},
		"may shrink": {func(t *testing.T) *os.File {
			t.Helper()
			return memfd(t, unix.F_SEAL_SEAL|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
		}, 7, "not sealed"},
		"may change": {func(t *testing.T) *os.File {
			t.Helper()
			return memfd(t, unix.F_SEAL_SEAL|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK)
		}, 7, "not sealed"},
		"future writes only": {func(t *testing.T) *os.File {
			t.Helper()
			return memfd(t, unix.F_SEAL_SEAL|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_FUTURE_WRITE)
		}, 7, "not sealed"},
		"file": {func(t *testing.T) *os.File {
			t.Helper()
			path := filepath.Join(t.TempDir(), "file")
			require.NoError(t, os.WriteFile(path, []byte("content"), 0o600))
			f, err := os.Open(path)
			require.NoError(t, err)
			return f
		}, 7, "not sealed"},
		"pipe": {func(t *testing.T) *os.File {
			t.Helper()
			r, w, err := os.Pipe()
			require.NoError(t, err)
			require.NoError(t, w.Close())
			return r
		}, 7, "not sealed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := tc.file(t)
			data, _, err := shm.Map(f, tc.size)
			require.ErrorContains(t, err, tc.want)
			require.Nil(t, data)
			require.ErrorIs(t, f.Close(), os.ErrClosed, "Map has closed it all the same")
		})
	}
}

func TestBlob_sealed(t *testing.T) {
	t.Parallel()
	b := newBlob(t, "content")
	f := b.File()
	_, err := f.WriteAt([]byte("x"), 0)
	require.ErrorIs(t, err, syscall.EPERM)
	require.ErrorIs(t, f.Truncate(3), syscall.EPERM)
	require.ErrorIs(t, f.Truncate(30), syscall.EPERM)
	_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_FUTURE_WRITE)
	require.ErrorIs(t, err, syscall.EPERM, "no seals can be added")
	_, err = unix.Mmap(int(f.Fd()), 0, 7, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	require.ErrorIs(t, err, syscall.EPERM)
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
	require.NoError(t, err)
	require.NotZero(t, flags&unix.FD_CLOEXEC, "no child inherits it by accident")

	// Opening it again by its name in /proc gives no more.
	if w, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR, 0); err == nil {
		_, err = w.WriteAt([]byte("x"), 0)
		require.ErrorIs(t, err, syscall.EPERM)
		require.NoError(t, w.Close())
	}
	got, err := b.Bytes()
	require.NoError(t, err)
	require.Equal(t, "content", string(got))
}

func TestBlob_closed(t *testing.T) {
	t.Parallel()
	b, err := shm.NewBlob("test", []byte("content"))
	require.NoError(t, err)
	require.NoError(t, b.Close())
	_, err = b.Bytes()
	require.ErrorIs(t, err, os.ErrClosed)
}

func TestNewBlob_badName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a\x00b", strings.Repeat("x", 300)} {
		_, err := shm.NewBlob(name, nil)
		require.ErrorIs(t, err, syscall.EINVAL)
	}
}
