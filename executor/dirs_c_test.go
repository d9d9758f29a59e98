package executor_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
)

// More of WASI's error numbers.
const (
	wasiExist    = 20
	wasiNotdir   = 54
	wasiNotempty = 55
)

// A cFiles does things with files by the C library of a guest in C.
type cFiles struct {
	t  *testing.T
	ex *executor.Executor
	fn raw
}

func newCFiles(t *testing.T, o executor.Options, dirs ...executor.Dir) cFiles {
	t.Helper()
	m := load(t, guesttest.BuildC(t, "cfiles"))
	return cFiles{t, newExecutor(t, o), raw{Module: m, Name: "files", Grants: executor.Grants{Dirs: dirs}}}
}

// A cResult is what came of one operation.
type cResult struct {
	errno int
	text  string
}

// do does things in one call. Operations and operands are separated by blanks.
func (c cFiles) do(ops ...string) []cResult {
	c.t.Helper()
	input := strings.ReplaceAll(strings.Join(ops, "\n"), " ", "\t")
	out, err := call(c.t, c.ex, c.fn, []byte(input))
	require.NoError(c.t, err)
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	require.Len(c.t, lines, len(ops))
	results := make([]cResult, len(ops))
	for i, line := range lines {
		number, text, _ := strings.Cut(line, " ")
		results[i].errno, err = strconv.Atoi(number)
		require.NoError(c.t, err, line)
		results[i].text = text
	}
	return results
}

// one does one thing.
func (c cFiles) one(op string) cResult {
	c.t.Helper()
	return c.do(op)[0]
}

// listed is a list's text as names in order, directories with a slash, links with an @.
func (r cResult) listed() []string {
	names := strings.Fields(r.text)
	slices.Sort(names)
	return names
}

// unharmed requires that one worker has served all calls, behind its walls.
func (c cFiles) unharmed() {
	c.t.Helper()
	s := c.ex.Stats()
	require.Zero(c.t, s.WorkersDied)
	require.EqualValues(c.t, 1, s.WorkersStarted)
	if runtime.GOOS == "linux" {
		require.Contains(c.t, s.Sandbox, "seccomp")
	}
}

// TestDirs_c has a guest in C do what programs do with files, by wasi-libc: it makes other
// calls than Go does.
func TestDirs_c(t *testing.T) {
	t.Parallel()
	ro, rw := t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(ro, "sub", "file"), "content")
	require.NoError(t, os.Symlink("file", filepath.Join(ro, "sub", "link")))
	c := newCFiles(t, executor.Options{Workers: 1}, executor.Dir{Host: ro, Guest: "/ro"}, executor.Dir{Host: rw, Guest: "/rw", Writable: true})

	for op, want := range map[string]cResult{
		"read /ro/sub/file":        {0, "content"},
		"read /ro/sub/link":        {0, "content"},
		"seek /ro/sub/file 3":      {0, "tent"},
		"stat /ro/sub/file":        {0, "file 7"},
		"stat /ro/sub/link":        {0, "file 7"},
		"lstat /ro/sub/link":       {0, "link 0"},
		"readlink /ro/sub/link":    {0, "file"},
		"stat /ro":                 {0, "dir 0"},
		"list /ro":                 {0, "./ ../ sub/ "},
		"list /ro/sub/file":        {errno: wasiNotdir},
		"read /ro/none":            {errno: wasiNoent},
		"stat /ro/sub/file/x":      {errno: wasiNotdir},
		"write /ro/sub/file x":     {errno: wasiRofs},
		"write /ro/new x":          {errno: wasiRofs},
		"append /ro/sub/file x":    {errno: wasiRofs},
		"exclusive /ro/new x":      {errno: wasiRofs},
		"writeat /ro/sub/file 0 x": {errno: wasiRofs},
		"truncate /ro/sub/file 0":  {errno: wasiRofs},
		"mkdir /ro/dir":            {errno: wasiRofs},
		"rmdir /ro/sub":            {errno: wasiRofs},
		"unlink /ro/sub/file":      {errno: wasiRofs},
		"rename /ro/sub /ro/bus":   {errno: wasiRofs},
		"symlink sub /ro/l":        {errno: wasiRofs},
		"link /ro/sub/file /ro/l":  {errno: wasiRofs},
		"rawmake 3 new":            {errno: wasiRofs},
	} {
		require.Equal(t, want, c.one(op), op)
	}
	require.Equal(t, []string{"../", "./", "file", "link@"}, c.one("list /ro/sub").listed())
	b, err := os.ReadFile(filepath.Join(ro, "sub", "file"))
	require.NoError(t, err)
	require.Equal(t, "content", string(b))

	for _, step := range []struct {
		op   string
		want cResult
	}{
		{"write /rw/a 0123456789", cResult{}},
		{"append /rw/a +", cResult{}},
		{"writeat /rw/a 4 xy", cResult{}},
		{"read /rw/a", cResult{text: "0123xy6789+"}},
		{"exclusive /rw/a z", cResult{errno: wasiExist}},
		{"exclusive /rw/b z", cResult{}},
		{"mkdir /rw/d", cResult{}},
		{"mkdir /rw/d", cResult{errno: wasiExist}},
		{"rename /rw/a /rw/d/c", cResult{}},
		{"read /rw/a", cResult{errno: wasiNoent}},
		{"truncate /rw/d/c 6", cResult{}},
		{"read /rw/d/c", cResult{text: "0123xy"}},
		{"list /rw/d", cResult{text: "./ ../ c "}},
		{"rmdir /rw/d", cResult{errno: wasiNotempty}},
		{"unlink /rw/d", cResult{errno: wasiIsdir}},
		{"symlink b /rw/l", cResult{errno: wasiPerm}},
		{"link /rw/b /rw/l", cResult{errno: wasiPerm}},
		{"unlink /rw/b", cResult{}},
		{"unlink /rw/b", cResult{errno: wasiNoent}},
		{"list /rw", cResult{text: "./ ../ d/ "}},
		{"raw 4 d/c", cResult{text: "0123xy"}},
	} {
		require.Equal(t, step.want, c.one(step.op), step.op) // a call each: nothing but the files is left of one
	}
	b, err = os.ReadFile(filepath.Join(rw, "d", "c"))
	require.NoError(t, err)
	require.Equal(t, "0123xy", string(b))
	for _, op := range []string{"unlink /rw/d/c", "rmdir /rw/d"} {
		require.Equal(t, cResult{}, c.one(op), op)
	}
	left, err := os.ReadDir(rw)
	require.NoError(t, err)
	require.Empty(t, left)
	c.unharmed()
}

// Nothing leads out of a directory, neither by the C library nor by the calls beneath it.
func TestDirs_cEscapes(t *testing.T) {
	t.Parallel()
	for name, writable := range map[string]bool{"read-only": false, "writable": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outside, dir := t.TempDir(), t.TempDir()
			secret := filepath.Join(outside, "secret")
			writeFile(t, secret, "secret")
			writeFile(t, filepath.Join(dir, "in"), "inside")
			relative, err := filepath.Rel(dir, outside)
			require.NoError(t, err)
			links := map[string]string{
				"absolute": secret, "relative": filepath.Join(relative, "secret"), "dir": outside, "up": "..", "chain": "dir/secret",
				"fd": "/proc/self/fd", "root": "/", "loop": "loop",
			}
			for name, to := range links {
				require.NoError(t, os.Symlink(to, filepath.Join(dir, name)))
			}
			c := newCFiles(t, executor.Options{Workers: 1}, executor.Dir{Host: dir, Guest: "/d", Writable: writable})
			paths := []string{
				"absolute", "relative", "chain", "dir/secret", "up/x", "fd/3", "root/etc/passwd", "loop", "..", "../x", "../" + filepath.Base(outside) + "/secret",
				relative + "/secret", "in/../../x", "./../x", secret, "/etc/passwd", "/proc/self/environ", "/", "//etc",
			}
			var ops []string
			for _, p := range paths {
				ops = append(ops, "raw 3 "+p, "rawmake 3 "+p)
				full := "/d/" + p
				if filepath.IsAbs(p) {
					full = p
				}
				ops = append(ops, "read "+full, "write "+full+" overwritten", "append "+full+" more", "list "+full, "stat "+full,
					"truncate "+full+" 0", "rename /d/in "+full+"/new", "mkdir "+full+"/new", "rmdir "+full)
			}
			for fd := range 3 { // they are streams, and no directories
				ops = append(ops, "raw "+strconv.Itoa(fd)+" in")
			}
			ops = append(ops, "raw 4 in", "rawmake 4 new", "rename /d/dir/secret /d/stolen", "unlink /d/dir/secret", "unlink "+secret)
			for i, r := range c.do(ops...) {
				require.NotZero(t, r.errno, ops[i])
				require.Empty(t, r.text, ops[i])
			}
			got := c.do("raw 3 absolute", "read /d/absolute", "stat /d/dir/secret", "lstat /d/absolute", "readlink /d/up", "read /d/in", "raw 3 ./in", "read /d/../d/in")
			for _, r := range got[:3] {
				require.Equal(t, wasiPerm, r.errno)
			}
			require.Equal(t, []cResult{{0, "link 0"}, {0, ".."}, {0, "inside"}, {0, "inside"}}, got[3:7], "what is inside, and the links themselves")
			require.NotZero(t, got[7].errno)
			b, err := os.ReadFile(secret)
			require.NoError(t, err)
			require.Equal(t, "secret", string(b))
			for there, want := range map[string]int{outside: 1, dir: len(links) + 1} {
				entries, err := os.ReadDir(there)
				require.NoError(t, err)
				require.Len(t, entries, want)
			}
			c.unharmed()
		})
	}
}
