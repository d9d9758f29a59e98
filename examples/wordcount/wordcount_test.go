package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/wasmworker"
)

func TestMain(m *testing.M) {
	wasmworker.Main() // the test program is its own worker
	os.Exit(runTests(m))
}

// runTests keeps compiled modules out of the user's cache, where the system lets
// it.
func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "wordcount-")
	if err == nil {
		err = os.Setenv("XDG_CACHE_HOME", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	defer os.RemoveAll(dir)
	return m.Run()
}

// A console is a program's output; it may be written and read concurrently.
type console struct {
	mu      sync.Mutex // guards buf
	buf     bytes.Buffer
	onWrite func(string) // called with what was written, if not nil; not under mu
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	n, err := c.buf.Write(p)
	c.mu.Unlock()
	if c.onWrite != nil {
		c.onWrite(string(p))
	}
	return n, err
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}

// A result is what a run of the program left.
type result struct {
	status         int
	stdout, stderr string
}

// wordcount runs the program over dir. onError, if not nil, is given what goes
// to standard error.
func wordcount(ctx context.Context, t *testing.T, onError func(string), dir string, args ...string) result {
	t.Helper()
	stdout, stderr := new(console), &console{onWrite: onError}
	args = append([]string{"-module", guesttest.BuildDir(t, "guest"), "-workers", "2", "-dir", dir}, args...)
	status := run(ctx, args, stdout, stderr)
	return result{status, stdout.String(), stderr.String()}
}

// writeTree makes a directory with these files.
func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// manyWords is a text of n different words.
func manyWords(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "word%d ", i)
	}
	return b.String()
}

func TestRun(t *testing.T) {
	dir := writeTree(t, map[string]string{
		"a.go":              "if x { if y { return } }\n",
		"empty.go":          "",
		"sub/invalid.go":    "if\xff\xfe x\xc3 東京 \xed\xa0\x80",
		"sub/testdata/b.go": "naïve naïve naïve naïve",
		"sub/b_test.go":     "func TestIf",
		"large.go":          strings.Repeat("var large_1 = 0x10\n", 2<<20/19),
		"various.go":        manyWords(20_000),
		"not.txt":           "if if if if",
		"d.go/inside.go":    "package d",
	})
	got := wordcount(t.Context(), t, nil, dir, "-top", "5")
	if got.status != exitOK {
		t.Fatalf("status %d, output %q, errors %q", got.status, got.stdout, got.stderr)
	}
	want := regexp.MustCompile(`^110 376  0x10
110 376  large_1
110 376  var
      4  naïve
      3  if

8 calls, 2\.3 MB in \d+\.\d s \(\d+\.\d MB/s\), [12] workers?, 0 failed
native count agrees: 8 files, 20 013 different words, 351 144 in all
$`)
	if !want.MatchString(got.stdout) {
		t.Errorf("output:\n%s\nwant a match for:\n%s", got.stdout, want)
	}
	if strings.Contains(got.stderr, "wordcount:") {
		t.Errorf("errors: %q", got.stderr)
	}
}

// A file that the guest cannot do in time fails, by name, and no other.
func TestRun_timeout(t *testing.T) {
	dir := writeTree(t, map[string]string{
		"a.go": "package a",
		"m.go": strings.Repeat("x ", 30_000_000),
		"z.go": "package z",
	})
	got := wordcount(t.Context(), t, nil, dir, "-timeout", "1500ms")
	if got.status != exitFailed {
		t.Errorf("status %d, want %d", got.status, exitFailed)
	}
	if !strings.Contains(got.stderr, "wordcount: m.go: limit wall exceeded") || !strings.Contains(got.stderr, "wordcount: 1 of 3 files failed") {
		t.Errorf("errors: %s", got.stderr)
	}
	if !strings.Contains(got.stdout, "3 calls, ") || !strings.Contains(got.stdout, " 1 failed\n") ||
		!strings.Contains(got.stdout, "native count agrees: 2 files, 3 different words, 4 in all") {
		t.Errorf("output: %s", got.stdout)
	}
}

func TestRun_interrupted(t *testing.T) {
	files := make(map[string]string)
	for i := range 40 {
		files[fmt.Sprintf("f%02d.go", i)] = manyWords(20_000)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := wordcount(ctx, t, func(text string) {
		if strings.Contains(text, "worker started") {
			cancel()
		}
	}, writeTree(t, files), "-v")
	if got.status != exitInterrupted {
		t.Errorf("status %d, want %d", got.status, exitInterrupted)
	}
	if !strings.Contains(got.stdout, " 0 failed\n") || strings.Contains(got.stdout, "native") {
		t.Errorf("output: %s", got.stdout)
	}
	if strings.Contains(got.stderr, ".go:") || !strings.HasSuffix(got.stderr, "wordcount: interrupted\n") {
		t.Errorf("errors: %s", got.stderr)
	}
}

func TestRun_wrong(t *testing.T) {
	t.Parallel()
	dir := writeTree(t, map[string]string{"a.go": "package a", "b.wasm": "not WebAssembly", "empty/a.txt": ""})
	missing := filepath.Join(dir, "missing")
	for _, test := range []struct {
		name   string
		args   []string
		status int
		stderr string
	}{
		{"help", []string{"-h"}, exitOK, "Usage of wordcount:"},
		{"unknown flag", []string{"-x"}, exitUsage, "flag provided but not defined: -x"},
		{"argument", []string{"x"}, exitUsage, `unexpected argument "x"`},
		{"top", []string{"-top", "-1"}, exitUsage, "-top is negative (-1)"},
		{"workers", []string{"-workers", "-1"}, exitUsage, "-workers is negative (-1)"},
		{"timeout", []string{"-timeout", "-1s"}, exitUsage, "-timeout is negative (-1s)"},
		{"start method", []string{"-start-method", "x"}, exitUsage, `unknown start method "x"`},
		{"no module", []string{"-module", missing}, exitFailed, "make builds the guest"},
		{"bad module", []string{"-module", filepath.Join(dir, "b.wasm")}, exitFailed, "b.wasm"},
		{"no directory", []string{"-dir", missing}, exitFailed, "list Go files of " + missing},
		{"no files", []string{"-dir", filepath.Join(dir, "empty")}, exitFailed, "no Go files below"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := wordcount(t.Context(), t, nil, dir, test.args...)
			if got.status != test.status || !strings.Contains(got.stderr, test.stderr) {
				t.Errorf("status %d, errors %q, want status %d and %q", got.status, got.stderr, test.status, test.stderr)
			}
			if got.stdout != "" {
				t.Errorf("output: %q", got.stdout)
			}
		})
	}
}

func TestTally_difference(t *testing.T) {
	t.Parallel()
	count := func(files int, words map[string]int) *tally { return &tally{files: files, words: words} }
	one := count(1, map[string]int{"a": 1, "b": 2})
	for _, test := range []struct {
		name  string
		other *tally
		want  string
	}{
		{"same", count(1, map[string]int{"b": 2, "a": 1}), ""},
		{"files", count(2, one.words), "1 files of 0 bytes in the workers, 2 of 0 here"},
		{"count", count(1, map[string]int{"a": 1, "b": 3}), `1 words, the first is "b": 2 times in the workers, 3 here`},
		{"missing", count(1, map[string]int{"b": 2}), `1 words, the first is "a": 1 times in the workers, 0 here`},
		{"extra", count(1, map[string]int{"a": 1, "b": 2, "c": 9}), `1 words, the first is "c": 0 times in the workers, 9 here`},
		{"several", count(1, map[string]int{"c": 9}), `3 words, the first is "a": 1 times in the workers, 0 here`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := one.difference(test.other); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestGrouped(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{
		0: "0", 7: "7", 123: "123", 1234: "1 234", 123456: "123 456", 1234567: "1 234 567", -123: "-123", -1234: "-1 234",
	} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
}
