package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
)

// A lab is what a run has built and where it keeps things.
type lab struct {
	src string // this program's source
	out string // what it makes

	guestC, guestGo, guestExtism string // paths of modules
}

// newLab builds the helpers and the guests from source.
func newLab(ctx context.Context, src, out string) (*lab, error) {
	src, err := filepath.Abs(src)
	if err != nil {
		return nil, err
	}
	if out, err = filepath.Abs(out); err != nil {
		return nil, err
	}
	l := &lab{src: src, out: out}
	for _, dir := range []string{
		"bin", "guest", "cache/" + sandpoolName, "cache/driver",
		"cache/cold-sandpool", "cache/cold-wazero", "cache/cold-extism", "cache/cold-wasmtime",
	} {
		if _, err := dirOf(out, dir); err != nil {
			return nil, err
		}
	}
	if err := l.goBuild(ctx, nil, "-o", filepath.Join(out, "bin")+string(filepath.Separator), "./helper/..."); err != nil {
		return nil, err
	}
	l.guestC, l.guestGo, l.guestExtism = filepath.Join(out, "guest", "c.wasm"), filepath.Join(out, "guest", "go.wasm"), filepath.Join(out, "guest", "extism.wasm")
	if err := l.goBuild(ctx, []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0"}, "-buildmode=c-shared", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w", "-o", l.guestGo, "./guest/golang"); err != nil {
		return nil, err
	}
	for name, path := range map[string]string{"c": l.guestC, "extism": l.guestExtism} {
		if err := l.clang(ctx, filepath.Join("guest", name, "main.c"), path); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// goBuild runs go build in the source directory.
func (l *lab) goBuild(ctx context.Context, env []string, args ...string) error {
	return l.command(ctx, env, append([]string{"go", "build"}, args...)...)
}

// clang compiles a guest in C: a reactor, as guests of the tests are made.
func (l *lab) clang(ctx context.Context, source, path string) error {
	name := "clang-16"
	if _, err := exec.LookPath(name); err != nil {
		name = "clang"
	}
	return l.command(ctx, nil, name, "--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-s", "-Wall", "-Wextra", "-Werror", "-o", path, source)
}

func (l *lab) command(ctx context.Context, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = l.src
	cmd.Env = append(os.Environ(), env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%q: %w\n%s", args, err, text)
	}
	return nil
}

// helper is the path of a program in the folder helper.
func (l *lab) helper(name string) string {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(l.out, "bin", name)
}

// dir is the path of a directory of the lab's.
func (l *lab) dir(parts ...string) string {
	return filepath.Join(append([]string{l.out}, parts...)...)
}

// moduleVersion is the version of a module that is linked into this program.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	i := slices.IndexFunc(info.Deps, func(m *debug.Module) bool { return m.Path == path })
	if i < 0 {
		return "unknown"
	}
	return info.Deps[i].Version
}
