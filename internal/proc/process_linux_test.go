package proc_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/internal/shm"
)

func init() {
	roles["facts"] = facts
	roles["blobs"] = takeBlobs
	roles["term"] = func(*proc.Inherited) int { syscall.Kill(os.Getpid(), syscall.SIGTERM); time.Sleep(time.Hour); return 0 }
	roles["grandchild"] = grandchild
	roles["squat"] = func(*proc.Inherited) int { time.Sleep(time.Hour); return 0 }
}

// Facts are what a child finds itself in.
type Facts struct {
	PID, Group, Session int
	NoNewPrivs          int
	ParentDeath         int32
	CloseOnExec         bool
	Descriptors         map[int]string
}

func facts(in *proc.Inherited) int {
	f := Facts{PID: os.Getpid(), Group: unix.Getpgrp(), CloseOnExec: true, Descriptors: descriptors()}
	f.Session, _ = unix.Getsid(0)
	f.NoNewPrivs, _ = unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	_ = unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&f.ParentDeath)), 0, 0, 0)
	for _, file := range in.Files() {
		flags, err := unix.FcntlInt(file.Fd(), unix.F_GETFD, 0)
		f.CloseOnExec = f.CloseOnExec && err == nil && flags&unix.FD_CLOEXEC != 0
	}
	if json.NewEncoder(in.Replies).Encode(f) != nil {
		return 1
	}
	return 0
}

// descriptors lists this process's descriptors and what they are.
func descriptors() map[int]string {
	list := map[int]string{}
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || strings.HasPrefix(target, "anon_inode:[event") {
			continue // the directory itself, or the runtime's poller
		}
		fd, _ := strconv.Atoi(e.Name())
		kind, _, _ := strings.Cut(target, ":")
		list[fd] = kind
	}
	return list
}

// takeBlobs answers each byte with the contents of that many blobs.
func takeBlobs(in *proc.Inherited) int {
	var n [1]byte
	for {
		if _, err := in.Requests.Read(n[:]); err != nil {
			return 0
		}
		for range n[0] {
			f, err := in.ReceiveBlob()
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			st, err := f.Stat()
			if err != nil {
				return 1
			}
			data, release, err := shm.Map(f, uint64(st.Size()))
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			if _, err := fmt.Fprintf(in.Replies, "%d %.10s\n", len(data), data); err != nil {
				return 1
			}
			release()
		}
	}
}

// grandchild leaves a process behind that holds its standard error.
func grandchild(in *proc.Inherited) int {
	r, w, err := os.Pipe()
	if err != nil {
		return 1
	}
	cmd := exec.Command("/proc/self/exe") //nolint:noctx // it outlives this process
	cmd.Args[0] = "squatter"
	s, _ := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	cmd.ExtraFiles = []*os.File{r, w, r, os.NewFile(uintptr(s[0]), "s")}
	cmd.Env = []string{proc.Marker + "=3,4,5,6", roleEnv + "=squat"}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Fprintln(os.Stderr, "last words")
	fmt.Fprint(in.Replies, cmd.Process.Pid)
	return 0
}

func childFacts(t *testing.T) Facts {
	t.Helper()
	w := start(t, "facts")
	var f Facts
	require.NoError(t, json.Unmarshal([]byte(w.replies(t)), &f))
	require.Zero(t, w.exit().Code)
	require.Equal(t, w.PID, f.PID)
	return f
}

func TestProcess_rights(t *testing.T) {
	t.Parallel()
	f := childFacts(t)
	require.Equal(t, f.PID, f.Group, "its own process group")
	session, err := unix.Getsid(0)
	require.NoError(t, err)
	require.Equal(t, session, f.Session, "in the same session")
	require.Equal(t, 1, f.NoNewPrivs)
	require.EqualValues(t, unix.SIGKILL, f.ParentDeath)
	require.True(t, f.CloseOnExec, "nothing that the worker starts inherits its pipes")
}

// TestProcess_descriptors is not parallel: another test's descriptors without
// close-on-exec would be inherited.
//
//nolint:paralleltest // see above
func TestProcess_descriptors(t *testing.T) {
	want := map[int]string{0: "/dev/null", 1: "pipe", 2: "pipe", 3: "pipe", 4: "pipe", 5: "pipe", 6: "socket"}
	for fd, kind := range descriptors() {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		require.NoError(t, err)
		if fd > 6 && flags&unix.FD_CLOEXEC == 0 {
			want[fd] = kind // of whoever started the tests
		}
	}
	require.Equal(t, want, childFacts(t).Descriptors)

	// A descriptor that the program opened without close-on-exec, as C code does,
	// reaches the worker; its sandbox closes it.
	dir, err := os.Open(t.TempDir())
	require.NoError(t, err)
	defer dir.Close()
	fd, err := unix.FcntlInt(dir.Fd(), unix.F_DUPFD, 20)
	require.NoError(t, err)
	want[fd] = dir.Name()
	require.Equal(t, want, childFacts(t).Descriptors)
	require.NoError(t, unix.Close(fd))
}

func TestProcess_signal(t *testing.T) {
	t.Parallel()
	w := start(t, "term")
	require.Equal(t, proc.Exit{PID: w.PID, Signal: 15, SignalName: "SIGTERM", Code: -1}, w.exit())
	w = start(t, "hang")
	w.Kill()
	require.Equal(t, proc.Exit{PID: w.PID, Signal: 9, SignalName: "SIGKILL", Code: -1}, w.exit())
}

func TestProcess_grandchild(t *testing.T) {
	t.Parallel()
	w := start(t, "grandchild")
	text := w.replies(t)
	require.NotEmpty(t, text, "%+v", w.exit())
	pid, err := strconv.Atoi(text)
	require.NoError(t, err)
	defer syscall.Kill(pid, syscall.SIGKILL)
	began := time.Now()
	exit := w.exit()
	require.Zero(t, exit.Code)
	require.Equal(t, "last words\n", exit.Stderr)
	require.Less(t, time.Since(began), hang, "the grandchild is not waited for")
	require.NoError(t, syscall.Kill(pid, 0), "it is still there")
}

func TestSendBlobs(t *testing.T) {
	t.Parallel()
	w := start(t, "blobs")
	contents := []string{"first", "", strings.Repeat("large ", 1<<20)}
	blobs := make([]*shm.Blob, len(contents))
	for i, content := range contents {
		b, err := shm.NewBlob("test", []byte(content))
		require.NoError(t, err)
		defer b.Close()
		blobs[i] = b
	}
	require.NoError(t, w.SendBlobs(blobs...))
	_, err := w.Requests.Write([]byte{3})
	require.NoError(t, err)
	require.NoError(t, w.SendBlobs(blobs[0]), "the same one again")
	require.NoError(t, blobs[0].Close())
	_, err = w.Requests.Write([]byte{1})
	require.NoError(t, err)
	require.NoError(t, w.Requests.Close())
	require.Equal(t, "5 first\n0 \n6291456 large larg\n5 first\n", w.replies(t))
	require.Equal(t, proc.Exit{PID: w.PID}, w.exit())
}

func TestSendBlobs_full(t *testing.T) {
	t.Parallel()
	w := start(t, "hang")
	blob, err := shm.NewBlob("test", []byte("x"))
	require.NoError(t, err)
	defer blob.Close()
	failed := make(chan error, 1)
	go func() {
		for range 100_000 {
			if err := w.SendBlobs(blob); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	select {
	case err := <-failed:
		require.ErrorContains(t, err, "hand descriptor to worker")
	case <-time.After(hang):
		t.Fatal("it blocks")
	}
}

func TestSendBlobs_workerGone(t *testing.T) {
	t.Parallel()
	w := start(t, "exit")
	w.exited(t)
	blob, err := shm.NewBlob("test", []byte("x"))
	require.NoError(t, err)
	defer blob.Close()
	require.Error(t, w.SendBlobs(blob), "an error, not SIGPIPE")
	_, err = w.Requests.Write(make([]byte, 1))
	require.ErrorIs(t, err, syscall.EPIPE)
	_, err = w.Replies.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
}

// TestLauncher_thread: what the launcher did to its thread stays there.
//
//nolint:paralleltest // looks at all threads of this process
func TestLauncher_thread(t *testing.T) {
	restricted := func() int {
		n := 0
		tasks, err := filepath.Glob("/proc/self/task/*/status")
		require.NoError(t, err)
		for _, task := range tasks {
			if strings.Contains(task, fmt.Sprintf("task/%d/", os.Getpid())) {
				continue // the runtime keeps a program's first thread, whatever was done to it
			}
			status, err := os.ReadFile(task)
			if err == nil && bytes.Contains(status, []byte("NoNewPrivs:\t1")) {
				n++
			}
		}
		return n
	}
	if restricted() > 0 {
		t.Skip("this process was started with no_new_privs")
	}
	childFacts(t)
	l := proc.NewLauncher()
	w := startFrom(t, l, "exit")
	w.exit()
	l.Close()
	require.Eventually(t, func() bool { return restricted() <= 1 }, hang, time.Millisecond, "only childFacts's launcher is left")
}

// inheritable returns a descriptor that Inherit may take and the test closes.
func inheritable(t *testing.T, f *os.File) int {
	t.Helper()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD, 10)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func TestInherit(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	requests, replies, control := inheritable(t, r), inheritable(t, w), inheritable(t, r)
	t.Setenv(proc.Marker, fmt.Sprintf("%d,%d,%d", requests, replies, control))
	in, err := proc.Inherit()
	require.NoError(t, err)
	require.Nil(t, in.Blobs)
	require.Len(t, in.Files(), 3)
	_, err = in.ReceiveBlob()
	require.ErrorContains(t, err, "no descriptor channel")
	_, err = in.Replies.WriteString("x")
	require.NoError(t, err)
	_, err = io.ReadFull(in.Requests, make([]byte, 1))
	require.NoError(t, err)
	for _, f := range in.Files() {
		require.NoError(t, f.Close())
	}
}

func TestInherit_refusals(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	dir, err := os.Open(t.TempDir())
	require.NoError(t, err)
	defer dir.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	a, b, c, d := inheritable(t, r), inheritable(t, w), inheritable(t, r), inheritable(t, w)
	list := func(fds ...int) string {
		return strings.Trim(strings.ReplaceAll(fmt.Sprint(fds), " ", ","), "[]")
	}
	for _, value := range []string{
		"", "x", "yes", ",,", ",,,", list(a), list(a, b), list(a, b, c, pair[0], d), list(a, b, c) + ",",
		list(-a, b, c), list(a, b, 987654), "99999999999999999999,4,5", "0x3,4,5", " 3,4,5", "3, 4, 5",
		list(a, b, int(dir.Fd())), list(int(dir.Fd()), b, c), list(a, b, pair[0]), list(a, b, c, d),
		list(a, b, a), list(a, a, a), list(0, a, b), list(a, 1, b), list(a, b, 2),
	} {
		t.Setenv(proc.Marker, value)
		in, err := proc.Inherit()
		require.ErrorContains(t, err, strconv.Quote(value))
		require.Nil(t, in)
	}
	for _, fd := range slices.Concat([]int{a, b, c, d}, pair[:]) {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		require.NoError(t, err, "what is refused stays open")
	}
}
