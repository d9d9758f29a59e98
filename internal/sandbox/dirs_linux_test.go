package sandbox_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sandpool/sandpool/internal/sandbox"
)

func init() { roles["dirs"] = reach }

// reach is what a process can do that keeps the directories read and write of another
// one: to those, to their neighbours, and to the rest of the system.
func reach(base string) string {
	c := config(sandbox.WorkerProfile | sandbox.DirsProfile)
	at := func(names ...string) string { return filepath.Join(append([]string{base}, names...)...) }
	c.Open = func() []sandbox.Dir {
		read, err := os.Open(at("read"))
		must(err)
		write, err := os.Open(at("write"))
		must(err)
		return []sandbox.Dir{{File: read}, {File: write, Writable: true}}
	}
	keptFiles = append(keptFiles, c)
	report := sandbox.Apply(c)
	open := func(path string, flags int) error {
		fd, err := unix.Openat(unix.AT_FDCWD, path, flags|unix.O_CLOEXEC, 0o600)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	}
	outcomes := make(map[string]string)
	try := func(what string, err error) {
		outcomes[what] = "done"
		if err != nil {
			outcomes[what] = err.Error()
		}
	}
	try("read", open(at("read", "file"), unix.O_RDONLY))
	try("list", open(at("read"), unix.O_RDONLY|unix.O_DIRECTORY))
	try("write where it may read", open(at("read", "file"), unix.O_WRONLY))
	try("create where it may read", open(at("read", "new"), unix.O_WRONLY|unix.O_CREAT))
	try("remove where it may read", unix.Unlinkat(unix.AT_FDCWD, at("read", "file"), 0))
	try("create", open(at("write", "new"), unix.O_RDWR|unix.O_CREAT))
	try("make a directory", unix.Mkdirat(unix.AT_FDCWD, at("write", "sub"), 0o700))
	try("rename", unix.Renameat(unix.AT_FDCWD, at("write", "new"), unix.AT_FDCWD, at("write", "sub", "moved")))
	try("remove", unix.Unlinkat(unix.AT_FDCWD, at("write", "sub", "moved"), 0))
	try("move out", unix.Renameat(unix.AT_FDCWD, at("write", "sub"), unix.AT_FDCWD, at("other", "sub")))
	try("follow a link out", open(at("write", "link"), unix.O_RDONLY))
	try("read a neighbour", open(at("other", "file"), unix.O_RDONLY))
	try("read the parent", open(base, unix.O_RDONLY|unix.O_DIRECTORY))
	try("read the system", open("/etc/passwd", unix.O_RDONLY))
	try("read /proc", open("/proc/self/environ", unix.O_RDONLY))
	try("make a link", unix.Symlinkat("/etc/passwd", unix.AT_FDCWD, at("write", "other")))
	try("make a hard link", unix.Linkat(unix.AT_FDCWD, at("read", "file"), unix.AT_FDCWD, at("write", "hard"), 0))
	try("make a device", unix.Mknodat(unix.AT_FDCWD, at("write", "pipe"), unix.S_IFIFO|0o600, 0))
	try("change a mode", unix.Fchmodat(unix.AT_FDCWD, at("write", "sub"), 0o777, 0))
	return encode(struct {
		Report   sandbox.Report
		Outcomes map[string]string
	}{report, outcomes})
}

// TestApply_dirs: what is in the directories that stay can be used as they allow, and
// nothing else of the file system.
func TestApply_dirs(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	for _, dir := range []string{"read", "write", "other"} {
		require.NoError(t, os.Mkdir(filepath.Join(base, dir), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(base, dir, "file"), []byte("x"), 0o600))
	}
	require.NoError(t, os.Symlink("../other/file", filepath.Join(base, "write", "link")))
	var got struct {
		Report   sandbox.Report
		Outcomes map[string]string
	}
	require.NoError(t, json.Unmarshal([]byte(calling(base).succeed(t, "dirs")), &got))
	if !slices.Contains(got.Report.InForce, sandbox.Landlock) {
		t.Skipf("no Landlock here: %v", got.Report.Missing)
	}
	const denied, none = "permission denied", "function not implemented"
	require.Equal(t, map[string]string{
		"read": "done", "list": "done", "create": "done", "make a directory": "done", "rename": "done", "remove": "done",
		"write where it may read": denied, "create where it may read": denied, "remove where it may read": denied,
		"move out": denied, "follow a link out": denied, "read a neighbour": denied, "read the parent": denied,
		"read the system": denied, "read /proc": denied,
		"make a link": none, "make a hard link": none, "make a device": none, "change a mode": none,
	}, got.Outcomes)
}
