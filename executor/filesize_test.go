package executor_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

// A file gets as large as the call's limit, and not a byte larger.
func TestFileSize(t *testing.T) {
	t.Parallel()
	ex, dir := newExecutor(t, executor.Options{Workers: 1, Limits: executor.Limits{FileSize: 100}}), t.TempDir()
	writeFile(t, filepath.Join(dir, "large"), strings.Repeat("l", 200))
	for name, limit := range map[string]int64{"executor's": 0, "own": 40} {
		fn := dirsFunc(t, executor.Dir{Host: dir, Guest: "/d", Writable: true})
		fn.Limits.FileSize = limit
		most := int(limit)
		if limit == 0 {
			most = 100
		}
		file := filepath.Join(dir, "file")
		full, more := []byte(strings.Repeat("x", most)), []byte("+")
		got := do(t, ex, fn,
			fileOp{Op: "write", Path: "/d/file", Data: full},
			fileOp{Op: "append", Path: "/d/file", Data: more},
			fileOp{Op: "writeat", Path: "/d/file", Data: more, N: int64(most)},
			fileOp{Op: "writeat", Path: "/d/file", Data: more, N: 1 << 40},
			fileOp{Op: "truncate", Path: "/d/file", N: int64(most) + 1},
			fileOp{Op: "write", Path: "/d/other", Data: append(more, full...)},
			fileOp{Op: "writeat", Path: "/d/file", Data: more, N: int64(most) - 1}, // all that came before has done nothing
			fileOp{Op: "read", Path: "/d/file"},
			fileOp{Op: "append", Path: "/d/large", Data: more}, // one that was larger before can be read, and made smaller
			fileOp{Op: "stat", Path: "/d/large"},
		)
		for i, r := range got {
			if i >= 1 && i <= 5 || i == 8 {
				require.Equal(t, wasiFbig, r.Errno, "%s, %d: %s", name, i, r.Err)
			} else {
				require.Empty(t, r.Err, "%s, %d", name, i)
			}
		}
		require.Equal(t, string(full[1:])+"+", string(got[7].Data))
		require.EqualValues(t, 200, got[9].N)
		require.NoError(t, os.Remove(file))
	}
	fn := dirsFunc(t, executor.Dir{Host: dir, Guest: "/d", Writable: true})
	require.Empty(t, do(t, ex, fn, fileOp{Op: "truncate", Path: "/d/large", N: 50})[0].Err)
	s := ex.Stats()
	require.Zero(t, s.WorkersDied)
	require.EqualValues(t, 1, s.WorkersStarted)
}

func TestFileSize_ceiling(t *testing.T) {
	t.Parallel()
	ex, fn := newExecutor(t, executor.Options{Workers: 1, Limits: executor.Limits{FileSize: 100}}), echoFunc(t)
	for _, over := range []int64{101, -1} {
		fn.Limits.FileSize = over
		_, err := call(t, ex, fn, nil)
		var oe *executor.OptionError
		require.ErrorAs(t, err, &oe)
		require.Equal(t, "Func.Limits.FileSize", oe.Option)
	}
}

// Without a limit a file gets larger than by default, and the process's own limit agrees.
func TestFileSize_off(t *testing.T) {
	t.Parallel()
	ex, dir := newExecutor(t, executor.Options{Workers: 1, Limits: executor.Limits{FileSize: -1}}), t.TempDir()
	fn := dirsFunc(t, executor.Dir{Host: dir, Guest: "/d", Writable: true})
	got := do(t, ex, fn, fileOp{Op: "write", Path: "/d/sparse"}, fileOp{Op: "writeat", Path: "/d/sparse", Data: []byte("x"), N: 1 << 30}, fileOp{Op: "stat", Path: "/d/sparse"})
	for _, r := range got {
		require.Empty(t, r.Err)
	}
	require.EqualValues(t, 1<<30+1, got[2].N)
	require.Zero(t, ex.Stats().WorkersDied)
}

// Code that has left WebAssembly is held to the executor's limit by the system.
func TestFileSize_process(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("a process's limits can be read on Linux only")
	}
	ex, dir := newExecutor(t, executor.Options{Workers: 1, Limits: executor.Limits{FileSize: 12345}}), t.TempDir()
	for writable, want := range map[bool]string{true: strconv.Itoa(12345), false: "0"} {
		fn := dirsFunc(t, executor.Dir{Host: dir, Guest: "/d", Writable: writable})
		f := executor.Submit(t.Context(), ex, fn, []fileOp{{Op: "list", Path: "/d"}})
		_, err := wait(t, f)
		require.NoError(t, err)
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(f.Usage().PID), "limits"))
		require.NoError(t, err)
		_, rest, ok := strings.Cut(string(text), "Max file size")
		require.True(t, ok)
		fields := strings.Fields(rest)
		require.Equal(t, []string{want, want}, fields[:2])
	}
}
