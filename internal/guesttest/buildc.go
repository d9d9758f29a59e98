package guesttest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// requireEnv is an environment variable that lists, separated by commas, the
// toolchains without which tests fail instead of being skipped.
const requireEnv = "SANDPOOL_REQUIRE"

// clangTool is the name of the C toolchain in requireEnv.
const clangTool = "clang"

// clangFlags make a reactor with WASI's C library. A guest's stack stays in its
// place, below the heap.
var clangFlags = []string{"--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-s", "-Wall", "-Wextra", "-Werror"}

// clangs are the names of the compiler, the preferred first.
var clangs = []string{"clang-16", "clang"}

// cSources are the C guests. They are embedded so that the directory a test runs
// in does not matter.
//
//go:embed testdata/*/*.c testdata/*/*.h
var cSources embed.FS

// BuildC is [Build] for a guest in C: all of testdata/name/*.c, compiled to a
// reactor with clang and wasi-libc. Where one of the two is missing the test is
// skipped, or fails if the environment variable SANDPOOL_REQUIRE lists clang.
func BuildC(tb testing.TB, name string) string {
	tb.Helper()
	if reason := missingClang(tb.Context()); reason != "" {
		missing(tb, clangTool, reason)
	}
	return build(tb, cSource{name})
}

// BytesC returns the module that [BuildC] makes.
func BytesC(tb testing.TB, name string) []byte {
	tb.Helper()
	wasm, err := os.ReadFile(BuildC(tb, name))
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

// missing ends a test that needs the tool.
func missing(tb testing.TB, tool, reason string) {
	tb.Helper()
	if slices.Contains(strings.Split(os.Getenv(requireEnv), ","), tool) {
		tb.Fatalf("%s lists %s: %s", requireEnv, tool, reason)
	}
	tb.Skipf("no %s: %s (make deps installs it on Debian)", tool, reason)
}

// missingClang says what of the toolchain is not there, or nothing.
func missingClang(ctx context.Context) string {
	clang := findClang()
	if clang == "" {
		return "none of " + strings.Join(clangs, ", ") + " is in PATH"
	}
	for what, flag := range map[string]string{
		"wasi-libc":                         "-print-file-name=crt1-reactor.o",
		"compiler-rt for wasm32 (builtins)": "-print-libgcc-file-name",
	} {
		file, err := clangCommand(ctx, "", clang, clangFlags[0], flag)
		if err != nil {
			return err.Error()
		}
		// The compiler prints the bare name of what it cannot find.
		if _, err := os.Stat(strings.TrimSpace(string(file))); err != nil {
			return clang + " has no " + what
		}
	}
	return ""
}

// findClang returns the compiler's path, or "".
func findClang() string {
	for _, name := range clangs {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	return ""
}

// cSource is a guest in C.
type cSource struct{ name string }

func (s cSource) build() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	clang := findClang()
	version, err := clangCommand(ctx, "", clang, "--version")
	if err != nil {
		return "", err
	}
	libc, err := clangCommand(ctx, "", clang, clangFlags[0], "-print-file-name=libc.a")
	if err != nil {
		return "", err
	}
	library, err := os.ReadFile(strings.TrimSpace(string(libc)))
	if err != nil {
		return "", fmt.Errorf("guesttest: wasi-libc: %w", err)
	}
	sources, err := s.files()
	if err != nil {
		return "", err
	}
	key := sha256.New()
	_, _ = fmt.Fprintf(key, "%s %q %x\n", version, clangFlags, sha256.Sum256(library))
	for _, f := range sources {
		_, _ = fmt.Fprintf(key, "%s %x\n", f.name, sha256.Sum256(f.content))
	}
	return stored([sha256.Size]byte(key.Sum(nil)), ".c.wasm", func(tmp string) error {
		return compileC(ctx, clang, sources, tmp)
	})
}

// A cFile is one file of a guest in C.
type cFile struct {
	name    string
	content []byte
}

// files returns the guest's files by name.
func (s cSource) files() ([]cFile, error) {
	dir := path.Join("testdata", s.name)
	entries, err := fs.ReadDir(cSources, dir)
	if err != nil {
		return nil, fmt.Errorf("guesttest: no C guest %q: %w", s.name, err)
	}
	files := make([]cFile, 0, len(entries))
	for _, entry := range entries {
		content, err := cSources.ReadFile(path.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		files = append(files, cFile{entry.Name(), content})
	}
	slices.SortFunc(files, func(a, b cFile) int { return cmp.Compare(a.name, b.name) })
	return files, nil
}

// compileC compiles the files to the module out, in a directory of their own so
// that no other path gets into it.
func compileC(ctx context.Context, clang string, files []cFile, out string) error {
	dir, err := os.MkdirTemp("", "sandpool-c-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is in the temporary directory
	args := append(slices.Clone(clangFlags), "-o", out)
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.content, 0o600); err != nil {
			return err
		}
		if path.Ext(f.name) == ".c" {
			args = append(args, f.name)
		}
	}
	_, err = clangCommand(ctx, dir, clang, args...)
	return err
}

// clangCommand runs the compiler and returns its standard output.
func clangCommand(ctx context.Context, dir, clang string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, clang, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("guesttest: %s: %w\n%s", filepath.Base(clang), err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return nil, fmt.Errorf("guesttest: %s: %w", filepath.Base(clang), err)
	}
	return out, nil
}
