package parity_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

// environDir names, in a worker's environment, the directory that takes a copy of
// that; workerTrait what else is special about the worker.
const (
	environDir  = "SANDPOOL_PARITY_ENVIRON"
	workerTrait = "SANDPOOL_PARITY_TRAIT"
)

// traits are what makes a worker special, by name. They are set up in its process
// before it serves.
var traits = make(map[string]func())

// newTrait adds one.
func newTrait(name string, prepare func()) string {
	traits[name] = prepare
	return name
}

// prepareWorker makes this process the special worker that its environment says.
func prepareWorker() {
	if dir := os.Getenv(environDir); dir != "" {
		reportEnviron(dir)
	}
	if trait := os.Getenv(workerTrait); trait != "" {
		traits[trait]()
	}
}

// reportEnviron writes the environment that this process was started with into
// the directory, in a file of its own.
func reportEnviron(dir string) {
	f := must(os.CreateTemp(dir, "writing-*"))
	for _, entry := range os.Environ() {
		fmt.Fprintln(f, entry)
	}
	if err := f.Close(); err != nil {
		panic(err)
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, strconv.Itoa(os.Getpid()))); err != nil {
		panic(err)
	}
}

// withTrait returns the options with workers that have the trait. They are this
// test binary.
func withTrait(t *testing.T, o executor.Options, trait string) executor.Options {
	t.Helper()
	require.Contains(t, traits, trait)
	return asWorker(t, o, workerTrait+"="+trait)
}

// environs is where workers leave a copy of their environment.
type environs struct{ dir string }

// withEnviron returns the options with workers that report their environment.
// They are this test binary.
func withEnviron(t *testing.T, o executor.Options) (executor.Options, environs) {
	t.Helper()
	e := environs{t.TempDir()}
	return asWorker(t, o, environDir+"="+e.dir), e
}

// asWorker returns the options with this test binary as worker, started with the
// entry in its environment.
func asWorker(t *testing.T, o executor.Options, entry string) executor.Options {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	o.WorkerPath = exe
	o.Env = append(o.Env, entry)
	return o
}

// of returns the environment that a process was started with, by key.
func (e environs) of(t *testing.T, pid int) map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(e.dir, strconv.Itoa(pid)))
	require.False(t, errors.Is(err, os.ErrNotExist), "process %d has reported nothing", pid)
	require.NoError(t, err)
	env := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		env[key] = value
	}
	return env
}
