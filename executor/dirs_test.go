package executor_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/startmethod"
)

// The guest world's types of files.
type (
	fileOp struct {
		Op, Path, To string
		Data         []byte
		N            int64
	}
	fileResult struct {
		Data  []byte
		Names []string
		N     int64
		Errno int
		Err   string
	}
	filesFunc = executor.Func[[]fileOp, []fileResult]
)

// WASI's error numbers.
const (
	wasiFbig  = 22
	wasiIsdir = 31
	wasiMfile = 33
	wasiNoent = 44
	wasiPerm  = 63
	wasiRofs  = 69
)

// dirsFunc is the guest's function with directories.
func dirsFunc(t *testing.T, dirs ...executor.Dir) filesFunc {
	t.Helper()
	return filesFunc{Module: worldModule(t), Name: "files", Grants: executor.Grants{Dirs: dirs}}
}

// do does things in one call.
func do(t *testing.T, ex *executor.Executor, fn filesFunc, ops ...fileOp) []fileResult {
	t.Helper()
	got, err := call(t, ex, fn, ops)
	require.NoError(t, err)
	require.Len(t, got, len(ops))
	return got
}

// writeFile makes a file of the host's.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func TestDirs(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	ro, rw := t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(ro, "sub", "file"), "content")
	fn := dirsFunc(t, executor.Dir{Host: ro, Guest: "/ro"}, executor.Dir{Host: rw, Guest: "/rw", Writable: true})

	f := executor.Submit(t.Context(), ex, fn, []fileOp{
		{Op: "read", Path: "/ro/sub/file"},
		{Op: "list", Path: "/ro"},
		{Op: "list", Path: "/ro/sub"},
		{Op: "stat", Path: "/ro/sub/file"},
		{Op: "seek", Path: "/ro/sub/file", N: 3},
		{Op: "read", Path: "/ro/sub/../sub/file"},
		{Op: "read", Path: "/ro/none"},
		{Op: "read", Path: "/etc/passwd"},
	})
	got, err := wait(t, f)
	require.NoError(t, err)
	require.Equal(t, startmethod.Precompiled, f.Usage().StartMethod)
	require.Contains(t, f.Usage().Fallback, "files that a guest has opened")
	require.Equal(t, "content", string(got[0].Data))
	require.Equal(t, []string{"sub d"}, got[1].Names)
	require.Equal(t, []string{"file -"}, got[2].Names)
	require.EqualValues(t, 7, got[3].N)
	require.Equal(t, "tent", string(got[4].Data))
	require.Equal(t, "content", string(got[5].Data))
	require.Equal(t, wasiNoent, got[6].Errno, got[6].Err)
	require.NotEmpty(t, got[7].Err)

	for _, op := range []fileOp{
		{Op: "write", Path: "/ro/new"},
		{Op: "write", Path: "/ro/sub/file"},
		{Op: "append", Path: "/ro/sub/file"},
		{Op: "mkdir", Path: "/ro/dir"},
		{Op: "unlink", Path: "/ro/sub/file"},
		{Op: "rmdir", Path: "/ro/sub"},
		{Op: "rename", Path: "/ro/sub", To: "/ro/bus"},
		{Op: "truncate", Path: "/ro/sub/file"},
		{Op: "symlink", Path: "/ro/link", To: "sub"},
		{Op: "link", Path: "/ro/sub/file", To: "/ro/hard"},
	} {
		require.Equal(t, wasiRofs, do(t, ex, fn, op)[0].Errno, "%+v", op)
	}

	got = do(t, ex, fn,
		fileOp{Op: "write", Path: "/rw/a", Data: []byte("0123456789")}, fileOp{Op: "append", Path: "/rw/a", Data: []byte("+")},
		fileOp{Op: "writeat", Path: "/rw/a", Data: []byte("xy"), N: 4}, fileOp{Op: "read", Path: "/rw/a"},
		fileOp{Op: "mkdir", Path: "/rw/d"}, fileOp{Op: "rename", Path: "/rw/a", To: "/rw/d/b"}, fileOp{Op: "truncate", Path: "/rw/d/b", N: 2},
		fileOp{Op: "write", Path: "/rw/gone"}, fileOp{Op: "remove", Path: "/rw/gone"}, fileOp{Op: "list", Path: "/rw"},
		fileOp{Op: "unlink", Path: "/rw/d"}, fileOp{Op: "rmdir", Path: "/rw/d"}, fileOp{Op: "exclusive", Path: "/rw/d/b"},
		fileOp{Op: "symlink", Path: "/rw/l", To: "d"}, fileOp{Op: "link", Path: "/rw/d/b", To: "/rw/l"},
		fileOp{Op: "writeat", Path: "/rw/d/b", Data: []byte("x"), N: 1 << 30}, fileOp{Op: "truncate", Path: "/rw/d/b", N: 1<<30 + 1},
	)
	for i := range 10 {
		require.Empty(t, got[i].Err, i)
	}
	require.Equal(t, "0123xy6789+", string(got[3].Data))
	require.Equal(t, []string{"d d"}, got[9].Names)
	require.Equal(t, wasiIsdir, got[10].Errno, got[10].Err)
	require.Contains(t, got[11].Err, "not empty")
	require.Contains(t, got[12].Err, "exists")
	require.Equal(t, wasiPerm, got[13].Errno, got[13].Err)
	require.Equal(t, wasiPerm, got[14].Errno, got[14].Err)
	require.Equal(t, wasiFbig, got[15].Errno, got[15].Err)
	require.Equal(t, wasiFbig, got[16].Errno, got[16].Err)
	b, err := os.ReadFile(filepath.Join(rw, "d", "b"))
	require.NoError(t, err)
	require.Equal(t, "01", string(b))
	require.Zero(t, ex.Stats().WorkersDied)
}

// Whatever leads out of a directory is refused.
func TestDirs_escapes(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	outside, dir := t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(outside, "secret"), "secret")
	writeFile(t, filepath.Join(dir, "in"), "inside")
	relative, err := filepath.Rel(dir, outside)
	require.NoError(t, err)
	for name, to := range map[string]string{
		"absolute": filepath.Join(outside, "secret"), "relative": filepath.Join(relative, "secret"), "dir": outside, "up": "..",
		"fd": "/proc/self/fd", "cwd": "/proc/self/cwd", "root": "/", "fine": "in",
	} {
		require.NoError(t, os.Symlink(to, filepath.Join(dir, name)))
	}
	fn := dirsFunc(t, executor.Dir{Host: dir, Guest: "/d", Writable: true})
	var ops []fileOp
	for _, p := range []string{
		"/d/absolute", "/d/relative", "/d/dir/secret", "/d/up/x", "/d/fd/3", "/d/fd/0", "/d/cwd/x", "/d/root/etc/passwd", "/d/../x", "/d/../../etc/passwd",
		"/d/./../d/absolute", "/proc/self/fd/3", "/proc/self/environ", "../etc/passwd", "/d//" + outside + "/secret", "/d/in/../../x",
	} {
		ops = append(ops, fileOp{Op: "read", Path: p}, fileOp{Op: "write", Path: p, Data: []byte("overwritten")}, fileOp{Op: "stat", Path: p}, fileOp{Op: "list", Path: p})
	}
	for _, p := range []string{"/d/dir/new", "/d/up/new", "/d/../new"} {
		ops = append(ops, fileOp{Op: "mkdir", Path: p}, fileOp{Op: "rename", Path: "/d/in", To: p}, fileOp{Op: "exclusive", Path: p})
	}
	ops = append(ops, fileOp{Op: "unlink", Path: "/d/dir/secret"}, fileOp{Op: "rename", Path: "/d/dir/secret", To: "/d/stolen"}, fileOp{Op: "truncate", Path: "/d/absolute"})
	for i, r := range do(t, ex, fn, ops...) {
		require.NotEmpty(t, r.Err, "%+v", ops[i])
		require.Empty(t, r.Data)
		require.Empty(t, r.Names)
	}
	got := do(t, ex, fn, fileOp{Op: "read", Path: "/d/fine"}, fileOp{Op: "readlink", Path: "/d/fine"}, fileOp{Op: "unlink", Path: "/d/absolute"})
	require.Equal(t, "inside", string(got[0].Data))
	require.Equal(t, "in", string(got[1].Data))
	require.Empty(t, got[2].Err, "the link itself is inside")
	b, err := os.ReadFile(filepath.Join(outside, "secret"))
	require.NoError(t, err)
	require.Equal(t, "secret", string(b))
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

// A directory that becomes a link while it is walked leads nowhere else.
func TestDirs_race(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	outside, dir := t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(outside, "file"), "outside")
	writeFile(t, filepath.Join(dir, "a", "file"), "inside")
	swapped, link := filepath.Join(dir, "a"), filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(outside, link))
	stop := make(chan struct{})
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for {
			select {
			case <-stop:
				return
			default: // each of the three is a state that the guest may meet
				_ = os.Rename(swapped, filepath.Join(dir, "b"))
				_ = os.Rename(link, swapped)
				_ = os.Rename(swapped, link)
				_ = os.Rename(filepath.Join(dir, "b"), swapped)
			}
		}
	})
	ops := make([]fileOp, 2000)
	for i := range ops {
		ops[i] = fileOp{Op: []string{"read", "append"}[i%2], Path: "/d/a/file"}
	}
	fn := dirsFunc(t, executor.Dir{Host: dir, Guest: "/d", Writable: true})
	inside := 0
	for range 3 {
		for _, r := range do(t, ex, fn, ops...) {
			require.NotContains(t, string(r.Data), "outside")
			if len(r.Data) > 0 {
				inside++
			}
		}
	}
	close(stop)
	swapping.Wait()
	require.Positive(t, inside)
	b, err := os.ReadFile(filepath.Join(outside, "file"))
	require.NoError(t, err)
	require.Equal(t, "outside", string(b))
}

// What a call has open is bounded, and closed at its end.
func TestDirs_open(t *testing.T) {
	t.Parallel()
	ex, dir := newExecutor(t, executor.Options{Workers: 1}), t.TempDir()
	writeFile(t, filepath.Join(dir, "file"), "content")
	fn := dirsFunc(t, executor.Dir{Host: dir, Guest: "/d"})
	for range 5 {
		got := do(t, ex, fn, fileOp{Op: "open", Path: "/d/file", N: 1000})
		require.Equal(t, wasiMfile, got[0].Errno, got[0].Err)
		require.Positive(t, got[0].N)
		require.LessOrEqual(t, got[0].N, int64(64))
	}
	require.Zero(t, ex.Stats().WorkersDied)
	require.EqualValues(t, 1, ex.Stats().WorkersStarted)
}

// A worker that has directories serves calls with the same ones and no others.
func TestDirs_workers(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 2, IsolateTenants: executor.Off})
	a, b := t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(a, "name"), "a")
	writeFile(t, filepath.Join(b, "name"), "b")
	classes := map[string][]executor.Dir{
		"":    nil,
		"a":   {{Host: a, Guest: "/d"}},
		"b":   {{Host: b, Guest: "/d"}},
		"a w": {{Host: a, Guest: "/d", Writable: true}},
	}
	type made struct {
		class string
		f     *executor.Future[[]fileResult]
	}
	var calls []made
	rounds := 24
	if testing.Short() {
		rounds = 6
	}
	for i := range rounds {
		for class, dirs := range classes {
			fn := dirsFunc(t, dirs...)
			fn.Tenant = []string{"one", "two"}[i%2]
			calls = append(calls, made{class, executor.Submit(t.Context(), ex, fn, []fileOp{{Op: "read", Path: "/d/name"}})})
		}
	}
	served := map[int]string{}
	for _, c := range calls {
		got, err := wait(t, c.f)
		require.NoError(t, err)
		require.Equal(t, strings.TrimSuffix(c.class, " w"), string(got[0].Data))
		worker := c.f.Usage().Worker
		if other, ok := served[worker]; ok {
			require.Equal(t, other, c.class, "worker %d", worker)
		}
		served[worker] = c.class
	}
	require.GreaterOrEqual(t, len(served), len(classes))
	require.Zero(t, ex.Stats().WorkersDied)
}

func TestDirs_command(t *testing.T) {
	t.Parallel()
	ex, fn, dir := newExecutor(t, executor.Options{Workers: 1}), worldCommand(t), t.TempDir()
	writeFile(t, filepath.Join(dir, "file"), "content ")
	fn.Grants.Dirs = []executor.Dir{{Host: dir}}
	got, err := call(t, ex, fn, executor.CommandInput{Args: []string{"tool", "read:/file", "read:/none"}})
	require.NoError(t, err)
	require.Equal(t, "content <nil>\nopen /none: No such file or directory\n", string(got.Stdout))
}

func TestDirs_refused(t *testing.T) {
	t.Parallel()
	ex, fn, dir := newExecutor(t, executor.Options{Workers: 1}), echoFunc(t), t.TempDir()
	file := filepath.Join(dir, "file")
	writeFile(t, file, "")
	many := make([]executor.Dir, 17)
	for name, tc := range map[string]struct {
		dirs   []executor.Dir
		reason string
	}{
		"many":         {many, "17 directories are more than 16"},
		"no host":      {[]executor.Dir{{Guest: "/d"}}, "Host is empty"},
		"not there":    {[]executor.Dir{{Host: dir}, {Host: filepath.Join(dir, "none"), Guest: "/n"}}, "entry 1"},
		"a file":       {[]executor.Dir{{Host: file}}, file + " is not a directory"},
		"NUL":          {[]executor.Dir{{Host: dir, Guest: "/\x00"}}, "NUL"},
		"relative":     {[]executor.Dir{{Host: dir, Guest: "data"}}, "data is not absolute"},
		"twice":        {[]executor.Dir{{Host: dir, Guest: "/d"}, {Host: dir, Guest: "/d/"}}, "two directories are /d"},
		"long":         {[]executor.Dir{{Host: dir, Guest: "/" + strings.Repeat("x", 40_000)}}, "paths of more than"},
		"twice by dot": {[]executor.Dir{{Host: dir}, {Host: dir, Guest: "/d/.."}}, "two directories are /"},
	} {
		fn.Grants.Dirs = tc.dirs
		_, err := call(t, ex, fn, nil)
		var oe *executor.OptionError
		require.ErrorAs(t, err, &oe, name)
		require.Equal(t, "Func.Grants.Dirs", oe.Option)
		require.Contains(t, oe.Reason, tc.reason)
	}
}

// A directory that has gone when a worker is started for it fails the calls that want
// it, and no others.
func TestDirs_gone(t *testing.T) {
	t.Parallel()
	ex, h := newHolder(t, executor.Options{Workers: 1})
	held := executor.Submit(t.Context(), ex, h.fn, nil)
	h.begun(t)
	dir := filepath.Join(t.TempDir(), "gone")
	require.NoError(t, os.Mkdir(dir, 0o700))
	fn := echoFunc(t)
	other := executor.Submit(t.Context(), ex, fn, []byte("x"))
	fn.Grants.Dirs = []executor.Dir{{Host: dir}}
	var futures []*executor.Future[[]byte]
	for range 3 {
		futures = append(futures, executor.Submit(t.Context(), ex, fn, nil))
	}
	require.NoError(t, os.Remove(dir))
	held.Cancel()
	for _, f := range futures {
		_, err := wait(t, f)
		var se *executor.StartError
		require.ErrorAs(t, err, &se)
		require.Equal(t, "directories", se.Stage)
		require.ErrorContains(t, err, "gone: no such file or directory")
	}
	out, err := wait(t, other)
	require.NoError(t, err)
	require.Equal(t, "x", string(out))
	out, err = call(t, ex, echoFunc(t), []byte("y"))
	require.NoError(t, err)
	require.Equal(t, "y", string(out))
}
