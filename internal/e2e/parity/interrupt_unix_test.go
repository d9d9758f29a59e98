//go:build unix

package parity_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

// interrupted is a host that ends its calls at SIGINT, as a command line program
// does. It has two workers with endless calls and an idle one, prints their
// processes and "ready", and what it finds once it has been interrupted.
var interrupted = newHost("interrupted", func() {
	signals := make(chan os.Signal, 1) // as signal.Notify wants it
	signal.Notify(signals, os.Interrupt)
	ctx, cancel := context.WithCancelCause(context.Background())
	l := newLines()
	ex := must(executor.New(hostOptions(executor.Options{Workers: 3, GuestLog: slog.New(l)})))
	act := func(ctx context.Context, in string) *future {
		return executor.Submit(ctx, ex, hostFunc("act"), []byte(in))
	}

	var fs []*future
	outcomes := make(chan struct{}, 100) // more than there are
	submit := func() {
		f := act(ctx, actHold)
		f.OnDone(func(*future) { outcomes <- struct{}{} })
		fs = append(fs, f)
	}
	for range 2 {
		submit()
		<-l
		fmt.Println(fs[len(fs)-1].Usage().PID)
	}
	idle := act(context.Background(), "before")
	must(idle.Wait(context.Background()))
	fmt.Println(idle.Usage().PID)
	fmt.Println("ready")

	<-signals
	after := act(context.Background(), "after")
	fmt.Printf("idle worker: %s\n", must(after.Wait(context.Background())))
	fmt.Println("the same:", after.Usage().PID == idle.Usage().PID)
	fmt.Println("calls:", fs[0].State(), fs[1].State())
	submit() // takes the third worker
	<-l
	for range 4 {
		submit()
	}
	fmt.Println("waiting:", ex.Stats().Queued)
	cancel(errors.New("interrupted"))
	for _, f := range fs {
		<-f.Done()
		fmt.Println("outcome:", f.Err())
	}
	must(0, ex.Shutdown(context.Background()))
	fmt.Println("begun later:", len(l))
	s := ex.Stats()
	fmt.Println("died:", s.WorkersDied)
	for range fs {
		<-outcomes
	}
	fmt.Println("more outcomes:", len(outcomes))
})

// TestT8_interrupt sends SIGINT to a host's process group, as Ctrl-C in a terminal
// does.
func TestT8_interrupt(t *testing.T) {
	t.Parallel()
	cmd := interrupted.command(t, moduleFile(t, actFunc(t).Module.Bytes()))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	pids, stdout := processes(t, cmd)
	require.Len(t, unique(pids), 3)
	for _, pid := range pids {
		group, err := syscall.Getpgid(pid)
		require.NoError(t, err)
		require.NotEqual(t, cmd.Process.Pid, group, "workers are not in the terminal's group")
	}
	require.NoError(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGINT))
	var got []string
	for stdout.Scan() {
		got = append(got, stdout.Text())
	}
	require.NoError(t, cmd.Wait(), "%s", &stderr)
	want := []string{"idle worker: after", "the same: true", "calls: running running", "waiting: 4"}
	for range 7 {
		want = append(want, "outcome: interrupted")
	}
	want = append(want, "begun later: 0", "died: 0", "more outcomes: 0")
	require.Equal(t, want, got)
	processGone(t, pids...)
}
