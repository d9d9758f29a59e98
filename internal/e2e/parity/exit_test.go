package parity_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
)

// hostFunc is the function of that name of a host's first argument, a module's file.
func hostFunc(name string) raw {
	return raw{Module: must(serialize.LoadModule(os.Args[1])), Name: name}
}

// moduleFile writes a module to a file.
func moduleFile(t *testing.T, wasm []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "module.wasm")
	require.NoError(t, os.WriteFile(path, wasm, 0o600))
	return path
}

// drained submits eight calls and leaves main with nothing but a deferred
// Shutdown; its guests' output is its own.
var drained = newHost("drained", func() {
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	ex := must(executor.New(hostOptions(executor.Options{Workers: 2, GuestLog: log})))
	defer func() { must(0, ex.Shutdown(context.Background())) }()
	say := hostFunc("say")
	for i := range 8 {
		executor.Submit(context.Background(), ex, say, fmt.Appendf(nil, "call-%d", i))
	}
})

// forgetful leaves main while its workers are at work and calls are pending, and
// closes nothing.
var forgetful = newHost("forgetful", func() {
	l := newLines()
	ex := must(executor.New(hostOptions(executor.Options{Workers: 2, GuestLog: slog.New(l)})))
	var fs []*future
	for range 10 {
		fs = append(fs, executor.Submit(context.Background(), ex, hostFunc("hold"), nil))
	}
	for range 2 {
		<-l
	}
	for _, f := range fs {
		if f.State() == executor.Running {
			fmt.Println(f.Usage().PID)
		}
	}
})

// sayGuest logs its input.
func sayGuest() []byte {
	guest := guesttest.NewTiny()
	body := readInput(guest).I32(0).I32(0).Get(inputSize).Call(guest.Log).I32(0)
	return guest.Finish("say", onePage, []guesttest.ValueType{guesttest.I32}, body)
}

func TestS4_exitWithCallsPending(t *testing.T) {
	t.Parallel()
	t.Run("drained", func(t *testing.T) {
		t.Parallel()
		cmd := drained.command(t, moduleFile(t, sayGuest()))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, "%s", stderr.Bytes())
		require.Empty(t, stderr.String())
		for i := range 8 {
			require.Equal(t, 1, strings.Count(string(out), "call-"+strconv.Itoa(i)), "%s", out)
		}
	})
	t.Run("forgotten", func(t *testing.T) {
		t.Parallel()
		cmd := forgetful.command(t, moduleFile(t, holdGuest()))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, "%s", stderr.Bytes())
		require.Empty(t, stderr.String())
		var pids []int
		for line := range strings.Lines(string(out)) {
			pid, err := strconv.Atoi(strings.TrimSpace(line))
			require.NoError(t, err)
			pids = append(pids, pid)
		}
		require.Len(t, pids, 2)
		processGone(t, pids...)
	})
}

// impatient shuts down without waiting while a call runs, and waits for it later.
var impatient = newHost("impatient", func() {
	ex := must(executor.New(hostOptions(executor.Options{Workers: 1, GuestLog: slog.New(slog.NewTextHandler(os.Stdout, nil))})))
	f := executor.Submit(context.Background(), ex, hostFunc("say"), []byte("apple"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := ex.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		panic(fmt.Sprintf("Shutdown has returned %v", err))
	}
	if slices.Contains(os.Args[2:], "future") {
		must(f.Wait(context.Background()))
	} else {
		must(0, ex.Shutdown(context.Background()))
	}
})

func TestS12_exitAfterShutdownWithoutWaiting(t *testing.T) {
	t.Parallel()
	for _, waitFor := range []string{"future", "shutdown"} {
		t.Run(waitFor, func(t *testing.T) {
			t.Parallel()
			cmd := impatient.command(t, moduleFile(t, sayGuest()), waitFor)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			require.NoError(t, err, "%s", stderr.Bytes())
			require.Empty(t, stderr.String())
			require.Contains(t, string(out), "msg=apple")
		})
	}
}
