package snapshot_test

import (
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sandpool/sandpool/internal/shm"
	"github.com/sandpool/sandpool/internal/snapshot"
)

var openPages = sync.OnceValues(snapshot.OpenPages)

func pages(tb testing.TB) *snapshot.Pages {
	tb.Helper()
	p, err := openPages()
	require.NoError(tb, err)
	return p
}

// modes are all there are. Without PAGEMAP_SCAN the first two are the same.
func modes(tb testing.TB) []mode {
	tb.Helper()
	p := pages(tb)
	if !p.Scanning() {
		tb.Log("this kernel has no PAGEMAP_SCAN")
	}
	return []mode{
		{"scan", fileImage, p},
		{"read", fileImage, p.Reading()},
		{"copy", fileImage, nil},
		{"slice", sliceImage, nil},
		{"slice+scan", sliceImage, p},
	}
}

// sealed is the file that a host hands over.
func sealed(tb testing.TB, data []byte) *os.File {
	tb.Helper()
	b, err := shm.NewBlob("image", data)
	require.NoError(tb, err)
	fd, err := unix.FcntlInt(b.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(tb, err)
	require.NoError(tb, b.Close())
	return os.NewFile(uintptr(fd), "image")
}

func fileImage(tb testing.TB, data []byte) *snapshot.Image {
	tb.Helper()
	i, err := snapshot.MapImage(sealed(tb, data), uint64(len(data)))
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, i.Close()) })
	return i
}
