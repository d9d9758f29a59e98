package dirfs

import (
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"time"

	esys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/sys"
)

// A Session is what one instance has of its directories. It belongs to one goroutine.
type Session struct {
	// MaxOpen bounds the files that are open at a time, MaxSize how large one may
	// become by what the guest does, in bytes.
	MaxOpen int
	MaxSize int64

	open  map[*file]struct{}
	exact uint32 // WASI's number for the last error, where the engine has none
}

// Exact returns the error number of what the guest asked for last, which the engine has
// answered with errno: it knows fewer numbers than WASI.
func (s *Session) Exact(errno uint32) uint32 {
	if errno != 0 && s.exact != 0 {
		errno = s.exact
	}
	s.exact = 0
	return errno
}

// Close closes what the guest has left open.
func (s *Session) Close() {
	for f := range s.open {
		_ = f.Close()
	}
}

// FS returns one of the directories. The root stays the caller's.
func (s *Session) FS(root *os.Root, writable bool) esys.FS {
	return &dir{session: s, root: root, writable: writable}
}

// A dir implements [esys.FS] for one directory.
type dir struct {
	esys.UnimplementedFS

	session  *Session
	root     *os.Root
	writable bool
}

const mutating = esys.O_RDWR | esys.O_WRONLY | esys.O_CREAT | esys.O_TRUNC | esys.O_APPEND

// OpenFile implements the method of [esys.FS].
func (d *dir) OpenFile(path string, flag esys.Oflag, perm fs.FileMode) (esys.File, esys.Errno) {
	if !d.writable && flag&mutating != 0 {
		return nil, esys.EROFS
	}
	if len(d.session.open) >= d.session.MaxOpen {
		return nil, d.session.errno(syscall.EMFILE)
	}
	info, err := d.root.Lstat(path)
	switch {
	case err != nil && flag&esys.O_CREAT == 0:
		return nil, d.session.errno(err)
	case err == nil && special(info.Mode()):
		return nil, esys.EACCES // opening alone can do something
	case err == nil && flag&esys.O_NOFOLLOW != 0 && info.Mode()&fs.ModeSymlink != 0:
		return nil, esys.ELOOP
	}
	f, err := d.root.OpenFile(path, osFlags(flag), perm.Perm())
	if err != nil {
		return nil, d.session.errno(err)
	}
	if info, err = f.Stat(); err != nil || special(info.Mode()) {
		_ = f.Close()
		if err != nil {
			return nil, d.session.errno(err)
		}
		return nil, esys.EACCES
	}
	opened := &file{session: d.session, f: f, dir: info.IsDir(), append: flag&esys.O_APPEND != 0}
	opened.atomic = opened.append
	if d.session.open == nil {
		d.session.open = make(map[*file]struct{})
	}
	d.session.open[opened] = struct{}{}
	return opened, 0
}

// special reports whether a file is neither a file, a directory nor a link to what may
// be one.
func special(m fs.FileMode) bool {
	return m&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice|fs.ModeCharDevice|fs.ModeIrregular) != 0
}

func osFlags(flag esys.Oflag) int {
	n := os.O_RDONLY
	switch {
	case flag&esys.O_RDWR != 0:
		n = os.O_RDWR
	case flag&esys.O_WRONLY != 0:
		n = os.O_WRONLY
	}
	for from, to := range map[esys.Oflag]int{
		esys.O_APPEND: os.O_APPEND, esys.O_CREAT: os.O_CREATE, esys.O_EXCL: os.O_EXCL, esys.O_TRUNC: os.O_TRUNC,
		esys.O_SYNC: os.O_SYNC, esys.O_DSYNC: os.O_SYNC,
	} {
		if flag&from != 0 {
			n |= to
		}
	}
	if runtime.GOOS != "windows" {
		n |= syscall.O_NONBLOCK // a pipe that has come meanwhile must not block
	}
	return n
}

// Lstat implements the method of [esys.FS].
func (d *dir) Lstat(path string) (sys.Stat_t, esys.Errno) { return d.stat(d.root.Lstat(path)) }

// Stat implements the method of [esys.FS].
func (d *dir) Stat(path string) (sys.Stat_t, esys.Errno) { return d.stat(d.root.Stat(path)) }

func (d *dir) stat(info fs.FileInfo, err error) (sys.Stat_t, esys.Errno) {
	if err != nil {
		return sys.Stat_t{}, d.session.errno(err)
	}
	return sys.NewStat_t(info), 0
}

// Readlink implements the method of [esys.FS].
func (d *dir) Readlink(path string) (string, esys.Errno) {
	to, err := d.root.Readlink(path)
	return to, d.session.errno(err)
}

// change does something to a directory that must be writable.
func (d *dir) change(do func() error) esys.Errno {
	if !d.writable {
		return esys.EROFS
	}
	return d.session.errno(do())
}

// Mkdir implements the method of [esys.FS].
func (d *dir) Mkdir(path string, perm fs.FileMode) esys.Errno {
	return d.change(func() error { return d.root.Mkdir(path, perm.Perm()) })
}

// Rename implements the method of [esys.FS].
func (d *dir) Rename(from, to string) esys.Errno {
	return d.change(func() error { return d.root.Rename(from, to) })
}

// Rmdir implements the method of [esys.FS].
func (d *dir) Rmdir(path string) esys.Errno { return d.remove(path, true) }

// Unlink implements the method of [esys.FS].
func (d *dir) Unlink(path string) esys.Errno { return d.remove(path, false) }

func (d *dir) remove(path string, directory bool) esys.Errno {
	return d.change(func() error {
		switch info, err := d.root.Lstat(path); {
		case err != nil:
			return err
		case directory && !info.IsDir():
			return syscall.ENOTDIR
		case !directory && info.IsDir():
			return syscall.EISDIR
		}
		return d.root.Remove(path)
	})
}

// Utimens implements the method of [esys.FS].
func (d *dir) Utimens(path string, atim, mtim int64) esys.Errno {
	at := func(ns int64) time.Time {
		if ns == esys.UTIME_OMIT {
			return time.Time{}
		}
		return time.Unix(0, ns)
	}
	return d.change(func() error { return d.root.Chtimes(path, at(atim), at(mtim)) })
}

// Link implements the method of [esys.FS].
func (d *dir) Link(string, string) esys.Errno { return d.noLink() }

// Symlink implements the method of [esys.FS].
func (d *dir) Symlink(string, string) esys.Errno { return d.noLink() }

func (d *dir) noLink() esys.Errno { return d.change(func() error { return syscall.EPERM }) }
