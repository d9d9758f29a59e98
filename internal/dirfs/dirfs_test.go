package dirfs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	esys "github.com/tetratelabs/wazero/experimental/sys"

	"github.com/sandpool/sandpool/internal/dirfs"
)

// open returns a directory with a file in it.
func open(t *testing.T, s *dirfs.Session, writable bool) (esys.FS, string) {
	t.Helper()
	path := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(path, "file"), []byte("content"), 0o600))
	root, err := os.OpenRoot(path)
	require.NoError(t, err)
	t.Cleanup(func() {
		s.Close()
		require.NoError(t, root.Close())
	})
	return s.FS(root, writable), path
}

func session() *dirfs.Session { return &dirfs.Session{MaxOpen: 3, MaxSize: 10} }

func TestReadOnly(t *testing.T) {
	t.Parallel()
	d, _ := open(t, session(), false)
	for _, flag := range []esys.Oflag{esys.O_RDWR, esys.O_WRONLY, esys.O_CREAT, esys.O_TRUNC, esys.O_APPEND} {
		_, errno := d.OpenFile("file", flag, 0o600)
		require.Equal(t, esys.EROFS, errno)
	}
	for i, errno := range []esys.Errno{
		d.Mkdir("d", 0o700), d.Rename("file", "f"), d.Unlink("file"), d.Rmdir("file"), d.Link("file", "f"), d.Symlink("file", "f"), d.Utimens("file", 0, 0),
	} {
		require.Equal(t, esys.EROFS, errno, i)
	}
	f, errno := d.OpenFile("file", esys.O_RDONLY, 0)
	require.Zero(t, errno)
	_, errno = f.Write([]byte("x"))
	require.NotZero(t, errno)
	require.NotZero(t, f.Truncate(0))
	require.NotZero(t, f.Utimens(0, 0))
	st, errno := f.Stat()
	require.Zero(t, errno)
	require.EqualValues(t, 7, st.Size)
}

func TestBounds(t *testing.T) {
	t.Parallel()
	s := session()
	d, path := open(t, s, true)
	var last esys.File
	for range 3 {
		f, errno := d.OpenFile("file", esys.O_RDWR, 0)
		require.Zero(t, errno)
		last = f
	}
	_, errno := d.OpenFile("file", esys.O_RDONLY, 0)
	require.NotZero(t, errno)
	require.EqualValues(t, 33, s.Exact(29))
	require.EqualValues(t, 29, s.Exact(29), "that was of one error")
	require.Zero(t, s.Exact(0))

	n, errno := last.Write([]byte("0123456789"))
	require.Zero(t, errno)
	require.Equal(t, 10, n)
	for _, write := range []func() esys.Errno{
		func() esys.Errno { _, errno := last.Write([]byte("x")); return errno },
		func() esys.Errno { _, errno := last.Pwrite([]byte("xy"), 9); return errno },
		func() esys.Errno { _, errno := last.Pwrite([]byte("x"), 1<<62); return errno },
		func() esys.Errno { return last.Truncate(11) },
	} {
		require.NotZero(t, write())
		require.EqualValues(t, 22, s.Exact(29))
	}
	require.Zero(t, last.Close())
	require.Equal(t, esys.EBADF, last.Close())
	appending, errno := d.OpenFile("file", esys.O_WRONLY|esys.O_APPEND, 0)
	require.Zero(t, errno)
	_, errno = appending.Write([]byte("x"))
	require.NotZero(t, errno, "it would be at the end")
	b, err := os.ReadFile(filepath.Join(path, "file"))
	require.NoError(t, err)
	require.Equal(t, "0123456789", string(b))
	s.Close()
	_, errno = d.OpenFile("file", esys.O_RDONLY, 0)
	require.Zero(t, errno, "there is room again")
}

func TestKinds(t *testing.T) {
	t.Parallel()
	d, path := open(t, session(), true)
	require.Zero(t, d.Mkdir("d", 0o700))
	require.Equal(t, esys.EISDIR, d.Unlink("d"))
	require.Equal(t, esys.ENOTDIR, d.Rmdir("file"))
	require.Equal(t, esys.EPERM, d.Symlink("/etc", "l"))
	require.Equal(t, esys.EPERM, d.Link("file", "l"))
	require.NoError(t, os.Symlink("file", filepath.Join(path, "link")))
	_, errno := d.OpenFile("link", esys.O_NOFOLLOW, 0)
	require.Equal(t, esys.ELOOP, errno)
	f, errno := d.OpenFile("link", 0, 0)
	require.Zero(t, errno)
	b := make([]byte, 10)
	n, errno := f.Read(b)
	require.Zero(t, errno)
	require.Equal(t, "content", string(b[:n]))
	n, errno = f.Read(b)
	require.Zero(t, errno, "the end is no error")
	require.Zero(t, n)

	dir, errno := d.OpenFile(".", 0, 0)
	require.Zero(t, errno)
	_, errno = dir.Read(b)
	require.Equal(t, esys.EISDIR, errno)
	types := map[string]fs.FileMode{}
	for {
		entries, errno := dir.Readdir(1)
		require.Zero(t, errno)
		if len(entries) == 0 {
			break
		}
		types[entries[0].Name] = entries[0].Type
	}
	require.Equal(t, map[string]fs.FileMode{"d": fs.ModeDir, "file": 0, "link": fs.ModeSymlink}, types)
	_, errno = dir.Seek(0, 0)
	require.Zero(t, errno)
	entries, errno := dir.Readdir(-1)
	require.Zero(t, errno)
	require.Len(t, entries, 3)
}
