package executor_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

func TestGuestLog(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer // written by the worker's goroutine, read after the call
	log := slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "module" {
			return slog.Attr{}
		}
		return a
	}}))
	ex, m := newExecutor(t, executor.Options{Workers: 1, GuestLog: log}), fixture(t)
	type line struct {
		Level int
		Text  string
	}
	type none = struct{}
	for _, level := range []int{-4, 0, 4, 8} {
		_, err := call(t, ex, executor.Func[line, none]{Module: m, Name: "log"}, line{level, "a \x1b[31mline"})
		require.NoError(t, err)
	}
	_, err := call(t, ex, executor.Func[string, none]{Module: m, Name: "print"}, "printed")
	require.NoError(t, err)
	_, err = call(t, ex, executor.Func[line, none]{Module: m, Name: "slog"}, line{4, "structured"})
	require.NoError(t, err)
	_, err = call(t, ex, executor.Func[int, none]{Module: m, Name: "biglog"}, 100_000)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(buf.String()), "\n")
	require.Equal(t, []string{
		`level=DEBUG msg="a \\x1b[31mline" func=log worker=1`,
		`level=INFO msg="a \\x1b[31mline" func=log worker=1`,
		`level=WARN msg="a \\x1b[31mline" func=log worker=1`,
		`level=ERROR msg="a \\x1b[31mline" func=log worker=1`,
		`level=INFO msg=printed func=print worker=1 stream=stdout`,
		`level=INFO msg=printed func=print worker=1 stream=stderr`,
		`level=WARN msg="structured unit=\"two words\" g.n=1" func=slog worker=1`,
	}, lines[:7])
	require.Equal(t, "level=INFO msg="+strings.Repeat("x", 64<<10)+" func=biglog worker=1", lines[7], "cut at 64 KiB")
}
