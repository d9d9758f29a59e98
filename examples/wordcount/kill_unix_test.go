//go:build unix

package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var startedPID = regexp.MustCompile(`msg="worker started" .*pid=(\d+)`)

var reportedFile = regexp.MustCompile(`(?m)^wordcount: (dir\d/file\d+\.go): worker process (\d+) was killed by SIGKILL$`)

// A killer kills workers until some files were lost. One that dies before it has
// begun a file costs none, so each is left alone for longer than the last.
type killer struct {
	t     *testing.T
	after time.Duration // of the first worker

	mu     sync.Mutex // guards the fields below
	left   int        // files to be lost yet
	timers []*time.Timer
	killed map[string]bool // by PID
}

// watch looks for workers in a line of the program's log.
func (k *killer) watch(text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.left -= len(reportedFile.FindAllString(text, -1))
	m := startedPID.FindStringSubmatch(text)
	if m == nil || k.left <= 0 {
		return
	}
	wait := k.after * time.Duration(len(k.timers)+1)
	k.timers = append(k.timers, time.AfterFunc(wait, func() { k.kill(m[1]) }))
}

func (k *killer) kill(pid string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.left <= 0 {
		return
	}
	n, err := strconv.Atoi(pid)
	if err == nil {
		err = syscall.Kill(n, syscall.SIGKILL)
	}
	if errors.Is(err, syscall.ESRCH) {
		return // the program is at its end
	}
	if err != nil {
		k.t.Errorf("kill worker %s: %v", pid, err)
		return
	}
	k.killed[pid] = true
}

// stop kills no more and returns who was killed.
func (k *killer) stop() map[string]bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, timer := range k.timers {
		timer.Stop()
	}
	return k.killed
}

// Killed workers cost the files they were on and nothing else.
func TestRun_killedWorkers(t *testing.T) {
	const files, losses = 40, 2
	tree := make(map[string]string)
	for i := range files {
		tree[fmt.Sprintf("dir%d/file%03d.go", i%7, i)] = fmt.Sprintf("only%d ", i) + manyWords(20_000)
	}
	k := &killer{t: t, after: 100 * time.Millisecond, left: losses, killed: make(map[string]bool)}
	got := wordcount(t.Context(), t, k.watch, writeTree(t, tree), "-v", "-top", "0")
	killed := k.stop()
	reported := reportedFile.FindAllStringSubmatch(got.stderr, -1)
	if len(reported) < losses || len(reported) > len(killed) {
		t.Errorf("%d files failed when %d workers were killed", len(reported), len(killed))
	}
	named := make(map[string]bool)
	for _, m := range reported {
		if _, ok := tree[m[1]]; !ok || named[m[1]] || !killed[m[2]] {
			t.Errorf("wrong report %q", m[0])
		}
		named[m[1]] = true
	}

	ended := fmt.Sprintf("wordcount: %d of %d files failed\n", len(reported), files)
	if got.status != exitFailed || !strings.HasSuffix(got.stderr, ended) {
		t.Errorf("status %d, want %d and %q at the end of:\n%s", got.status, exitFailed, ended, got.stderr)
	}
	for _, want := range []string{
		fmt.Sprintf("%d calls, ", files),
		fmt.Sprintf("%d workers (%d died), %d failed\n", 2+len(killed), len(killed), len(reported)),
		fmt.Sprintf("native count agrees: %d files, ", files-len(reported)),
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in the output:\n%s", want, got.stdout)
		}
	}
}
