package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// A FileOp is one thing to do with a file.
type FileOp struct {
	Op, Path, To string
	Data         []byte
	N            int64
}

// A FileResult is what came of it.
type FileResult struct {
	Data  []byte
	Names []string
	N     int64
	Errno int    // WASI's number, 0 for none
	Err   string // empty for none
}

// files does things with files until one fails.
func files(ops []FileOp) ([]FileResult, error) {
	var results []FileResult
	for _, op := range ops {
		r, err := op.do()
		if err != nil {
			r.Err = err.Error()
			var errno syscall.Errno
			if errors.As(err, &errno) {
				r.Errno = int(errno)
			}
		}
		results = append(results, r)
	}
	return results, nil
}

func (op FileOp) do() (r FileResult, err error) {
	switch op.Op {
	case "read":
		r.Data, err = os.ReadFile(op.Path)
	case "write":
		err = os.WriteFile(op.Path, op.Data, 0o644)
	case "append":
		err = op.write(os.O_WRONLY | os.O_APPEND | os.O_CREATE)
	case "exclusive":
		err = op.write(os.O_WRONLY | os.O_EXCL | os.O_CREATE)
	case "list":
		r.Names, err = list(op.Path)
	case "mkdir":
		err = os.Mkdir(op.Path, 0o755)
	case "remove":
		err = os.Remove(op.Path)
	case "unlink":
		err = syscall.Unlink(op.Path)
	case "rmdir":
		err = syscall.Rmdir(op.Path)
	case "rename":
		err = os.Rename(op.Path, op.To)
	case "symlink":
		err = os.Symlink(op.To, op.Path)
	case "link":
		err = os.Link(op.Path, op.To)
	case "readlink":
		var to string
		to, err = os.Readlink(op.Path)
		r.Data = []byte(to)
	case "stat":
		r.N, err = size(os.Stat(op.Path))
	case "lstat":
		r.N, err = size(os.Lstat(op.Path))
	case "truncate":
		err = os.Truncate(op.Path, op.N)
	case "seek":
		r.Data, err = readAt(op.Path, op.N)
	case "writeat":
		err = op.writeAt()
	case "open":
		r.N, err = openMany(op.Path, op.N)
	default:
		err = fmt.Errorf("unknown operation %q", op.Op)
	}
	return r, err
}

func (op FileOp) write(flag int) error {
	f, err := os.OpenFile(op.Path, flag, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(op.Data)
	return errors.Join(err, f.Close())
}

func (op FileOp) writeAt() error {
	f, err := os.OpenFile(op.Path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(op.Data, op.N)
	return errors.Join(err, f.Sync(), f.Close())
}

func list(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSpace(e.Name()+" "+e.Type().String()[:1]))
	}
	return names, err
}

func size(info os.FileInfo, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func readAt(path string, at int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}

// openMany opens a file until that fails, and leaves it open.
func openMany(path string, most int64) (n int64, err error) {
	for n < most {
		if _, err := syscall.Open(path, syscall.O_RDONLY, 0); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
