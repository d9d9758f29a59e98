package guesttest_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
)

func TestBuildC(t *testing.T) {
	t.Parallel()
	path := guesttest.BuildC(t, "cstate")
	require.Equal(t, ".wasm", filepath.Ext(path))
	require.Equal(t, path, guesttest.BuildC(t, "cstate"))
	require.Equal(t, guesttest.Header(), guesttest.BytesC(t, "cstate")[:8])
}

// skipped takes the place of a test without its toolchain.
type skipped struct {
	recorder

	skip string
}

func (s *skipped) Skipf(format string, args ...any) {
	s.skip = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (s *skipped) Fatalf(format string, args ...any) { s.Fatal(fmt.Sprintf(format, args...)) }

// TestBuildC_missing is not parallel: it changes the environment.
func TestBuildC_missing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	build := func() *skipped {
		s := &skipped{recorder: recorder{TB: t}}
		var wg sync.WaitGroup
		wg.Go(func() { guesttest.BuildC(s, "cstate") }) // exits by Skipf or Fatal
		wg.Wait()
		return s
	}
	t.Setenv("SANDPOOL_REQUIRE", "gcc")
	s := build()
	require.Equal(t, "no clang: none of clang-16, clang is in PATH (make deps installs it on Debian)", s.skip)
	require.Empty(t, s.text)
	t.Setenv("SANDPOOL_REQUIRE", "gcc,clang")
	s = build()
	require.Equal(t, "SANDPOOL_REQUIRE lists clang: none of clang-16, clang is in PATH", s.text)
	require.Empty(t, s.skip)
}
