package dirfs

import (
	"errors"
	"io"
	"os"
	"syscall"

	esys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/sys"
)

// A file implements [esys.File].
type file struct {
	esys.UnimplementedFile

	session *Session
	f       *os.File
	dir     bool
	append  bool
	atomic  bool // it was opened so that the system appends
}

// Dev implements the method of [esys.File].
func (f *file) Dev() (uint64, esys.Errno) {
	st, errno := f.Stat()
	return st.Dev, errno
}

// Ino implements the method of [esys.File].
func (f *file) Ino() (sys.Inode, esys.Errno) {
	st, errno := f.Stat()
	return st.Ino, errno
}

// IsDir implements the method of [esys.File].
func (f *file) IsDir() (bool, esys.Errno) { return f.dir, 0 }

// IsAppend implements the method of [esys.File].
func (f *file) IsAppend() bool { return f.append }

// SetAppend implements the method of [esys.File].
func (f *file) SetAppend(enable bool) esys.Errno {
	if f.atomic && !enable {
		return esys.ENOSYS
	}
	f.append = enable
	return 0
}

// Stat implements the method of [esys.File].
func (f *file) Stat() (sys.Stat_t, esys.Errno) {
	info, err := f.f.Stat()
	if err != nil {
		return sys.Stat_t{}, f.session.errno(err)
	}
	return sys.NewStat_t(info), 0
}

// Read implements the method of [esys.File].
func (f *file) Read(b []byte) (int, esys.Errno) { return f.done(f.f.Read(b)) }

// Pread implements the method of [esys.File].
func (f *file) Pread(b []byte, off int64) (int, esys.Errno) { return f.done(f.f.ReadAt(b, off)) }

// done is how a file's methods return.
func (f *file) done(n int, err error) (int, esys.Errno) {
	if f.dir && err != nil {
		return 0, esys.EISDIR
	}
	if errors.Is(err, io.EOF) || n > 0 {
		err = nil
	}
	return n, f.session.errno(err)
}

// position is another name for int64, by which vet does not take Seek for io.Seeker's.
type position = int64

// Seek implements the method of [esys.File].
func (f *file) Seek(offset position, whence int) (int64, esys.Errno) {
	if f.dir && (offset != 0 || whence != io.SeekStart) {
		return 0, esys.EINVAL
	}
	if whence < io.SeekStart || whence > io.SeekEnd {
		return 0, esys.EINVAL
	}
	at, err := f.f.Seek(offset, whence)
	return at, f.session.errno(err)
}

// Readdir implements the method of [esys.File]. Entries have no inode numbers, which
// would cost a look at each.
func (f *file) Readdir(n int) ([]esys.Dirent, esys.Errno) {
	if !f.dir {
		return nil, esys.ENOTDIR
	}
	entries, err := f.f.ReadDir(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	list := make([]esys.Dirent, len(entries))
	for i, e := range entries {
		list[i] = esys.Dirent{Name: e.Name(), Type: e.Type()}
	}
	return list, f.session.errno(err)
}

// fits reports whether a file may have something up to an end.
func (f *file) fits(at int64, size int) esys.Errno {
	if at < 0 || at > f.session.MaxSize-int64(size) {
		return f.session.errno(syscall.EFBIG)
	}
	return 0
}

// Write implements the method of [esys.File].
func (f *file) Write(b []byte) (int, esys.Errno) {
	if f.dir {
		return 0, esys.EBADF
	}
	whence := io.SeekCurrent
	if f.append {
		whence = io.SeekEnd
	}
	at, err := f.f.Seek(0, whence)
	if err != nil {
		return 0, f.session.errno(err)
	}
	if errno := f.fits(at, len(b)); errno != 0 {
		return 0, errno
	}
	return f.done(f.f.Write(b))
}

// Pwrite implements the method of [esys.File].
func (f *file) Pwrite(b []byte, off int64) (int, esys.Errno) {
	switch errno := f.fits(off, len(b)); {
	case f.dir:
		return 0, esys.EBADF
	case errno != 0:
		return 0, errno
	case f.append:
		return f.Write(b)
	}
	return f.done(f.f.WriteAt(b, off))
}

// Truncate implements the method of [esys.File].
func (f *file) Truncate(size int64) esys.Errno {
	if f.dir {
		return esys.EISDIR
	}
	if errno := f.fits(size, 0); errno != 0 {
		return errno
	}
	return f.session.errno(f.f.Truncate(size))
}

// Sync implements the method of [esys.File].
func (f *file) Sync() esys.Errno {
	if f.dir {
		return 0
	}
	return f.session.errno(f.f.Sync())
}

// Datasync implements the method of [esys.File].
func (f *file) Datasync() esys.Errno { return f.Sync() }

// Close implements the method of [esys.File].
func (f *file) Close() esys.Errno {
	if _, open := f.session.open[f]; !open {
		return esys.EBADF
	}
	delete(f.session.open, f)
	return f.session.errno(f.f.Close())
}
