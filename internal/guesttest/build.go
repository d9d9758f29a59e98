package guesttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

const (
	// fixtures is where the guests of Build are, as an import path so that the
	// directory a test runs in does not matter.
	fixtures = "github.com/sandpool/sandpool/internal/guesttest/testdata/"

	buildTimeout = 10 * time.Minute
	keepUnused   = 7 * 24 * time.Hour // since the last test process that asked for it
)

// engineOverride makes a worker agree with a test binary on the engine's version.
const engineOverride = "github.com/sandpool/sandpool/internal/engine.override=unknown"

// buildFlags keep the name section off: Go prints its stacks from its own
// tables, which -s leaves alone, and the module is smaller. Without trimpath
// the same sources in another directory would give another module.
var buildFlags = []string{"-trimpath", "-buildvcs=false", "-ldflags=-s -w"}

// Build compiles the guest testdata/name of this package and returns the path
// of the module. It fails the test with the compiler's output.
//
// A guest is built once per test process, and one process uses what another
// has built from the same sources, flags and toolchain, now or earlier: the
// files are kept for a week in the temporary directory, under a name that
// covers every package linked into the guest. Do not write to them.
func Build(tb testing.TB, name string) string {
	tb.Helper()
	return build(tb, guestSource{pkg: fixtures + name})
}

// BuildDir is [Build] for the main package in dir, relative to the test's
// package or absolute.
func BuildDir(tb testing.TB, dir string) string {
	tb.Helper()
	abs, err := filepath.Abs(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return build(tb, guestSource{dir: abs, pkg: "."})
}

// BuildCommand is [Build] for a guest that is a WASI command.
func BuildCommand(tb testing.TB, name string) string {
	tb.Helper()
	return build(tb, guestSource{pkg: fixtures + name, command: true})
}

// BuildCommandDir is [BuildDir] for a guest that is a WASI command.
func BuildCommandDir(tb testing.TB, dir string) string {
	tb.Helper()
	abs, err := filepath.Abs(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return build(tb, guestSource{dir: abs, pkg: ".", command: true})
}

// Bytes returns the module that [Build] makes.
func Bytes(tb testing.TB, name string) []byte {
	tb.Helper()
	wasm, err := os.ReadFile(Build(tb, name))
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

// A guestSource is what to build: a package, from a directory, as a guest or as
// a program for this machine.
type guestSource struct {
	dir, pkg string
	native   bool
	command  bool // not functions
}

// A source is what one file is built from. It is comparable.
type source interface {
	build() (string, error) // the file's path
}

// builds has one entry for each file asked for, built by the first.
var builds struct {
	mu sync.Mutex // guards m; not held while building
	m  map[source]func() (string, error)
}

// Worker builds, in the same way, a program that is nothing but a worker, without
// the race detector, and returns its path.
func Worker(tb testing.TB) string {
	tb.Helper()
	return build(tb, guestSource{pkg: fixtures + "worker", native: true})
}

func build(tb testing.TB, from source) string {
	tb.Helper()
	builds.mu.Lock()
	once, ok := builds.m[from]
	if !ok {
		once = sync.OnceValues(from.build)
		if builds.m == nil {
			builds.m = make(map[source]func() (string, error))
		}
		builds.m[from] = once
	}
	builds.mu.Unlock()
	path, err := once()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// build returns the module's path, compiling only if no process has yet.
func (s guestSource) build() (string, error) {
	// No test's context: the result is for all of them.
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()

	// The list of build IDs changes with anything that changes the module: a
	// source file of any dependency, a flag, a variable, the Go version.
	ids, err := s.goCommand(ctx, "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.BuildID}}")
	if err != nil {
		return "", err
	}
	key := sha256.Sum256(fmt.Appendf(ids, "%q %s", buildFlags, engineOverride))
	return stored(key, s.suffix(), func(tmp string) error {
		args := []string{"-buildmode=c-shared", "-o", tmp}
		if s.command {
			args[0] = "-buildmode=exe"
		}
		if s.native {
			// A test binary carries no module information, so its worker must not either.
			args[0] = "-ldflags=-X " + engineOverride
		}
		_, err := s.goCommand(ctx, "build", args...)
		return err
	})
}

// stored returns the path of the file of that key, which compile writes if no
// process has yet.
func stored(key [sha256.Size]byte, suffix string, compile func(tmp string) error) (string, error) {
	dir, err := cacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, hex.EncodeToString(key[:16])+suffix)
	now := time.Now()
	if err := os.Chtimes(path, now, now); err == nil {
		return path, nil
	}
	prune(dir, now.Add(-keepUnused))

	// Two processes may get here at once. Each builds its own file and the last
	// rename wins; both files have the same content.
	tmp, err := os.CreateTemp(dir, "build-*"+suffix)
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name()) // fails after the rename, as it should
	if err := tmp.Close(); err != nil {
		return "", err
	}
	if err := compile(tmp.Name()); err != nil {
		return "", err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		// Windows does not replace a file that another process has open.
		if _, statErr := os.Stat(path); statErr != nil {
			return "", err
		}
	}
	return path, nil
}

// suffix is that of the file's name.
func (s guestSource) suffix() string {
	switch {
	case s.command:
		return ".command.wasm"
	case !s.native:
		return ".wasm"
	case runtime.GOOS == "windows":
		return ".exe"
	default:
		return ".bin"
	}
}

// goCommand runs the go command for the target and returns its standard output.
func (s guestSource) goCommand(ctx context.Context, verb string, args ...string) ([]byte, error) {
	args = append(append([]string{verb}, buildFlags...), append(args, s.pkg)...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if !s.native {
		cmd.Env = append(cmd.Env, "GOOS=wasip1", "GOARCH=wasm")
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("guesttest: go %s %s: %w\n%s", verb, filepath.Join(s.dir, s.pkg), err, stderr.Bytes())
	}
	return out, nil
}

// cacheDir returns this user's directory for modules, made if need be. Others
// can write to the temporary directory, so it must really be ours.
func cacheDir() (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("sandpool-guests-%d", os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if !info.IsDir() || !private(info) {
		return "", fmt.Errorf("guesttest: %s is not a private directory of this user", dir)
	}
	return dir, nil
}

// prune removes what was last used before the given time. Errors do not
// matter: another process may be doing the same.
func prune(dir string, before time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.ModTime().Before(before) {
			_ = os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}

// CodeCache returns a directory for compiled code that test processes share,
// so that a guest is compiled once for all of them. It is private to the user.
func CodeCache(tb testing.TB) string {
	tb.Helper()
	dir, err := cacheDir()
	if err == nil {
		dir = filepath.Join(dir, "code")
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}
