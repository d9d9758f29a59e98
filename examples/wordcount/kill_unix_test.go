//go:build unix

package main

import (
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

// A killer kills each of the first workers that come up, once it is at work.
type killer struct {
	t     *testing.T
	after time.Duration

	mu     sync.Mutex // guards the fields below
	left   int
	timers []*time.Timer
	killed map[string]bool // by PID
}

// watch looks for workers in a line of the program's log.
func (k *killer) watch(text string) {
	m := startedPID.FindStringSubmatch(text)
	k.mu.Lock()
	defer k.mu.Unlock()
	if m == nil || k.left == 0 {
		return
	}
	k.left--
	k.timers = append(k.timers, time.AfterFunc(k.after, func() { k.kill(m[1]) }))
}

func (k *killer) kill(pid string) {
	n, err := strconv.Atoi(pid)
	if err == nil {
		err = syscall.Kill(n, syscall.SIGKILL)
	}
	if err != nil {
		k.t.Errorf("kill worker %s: %v", pid, err)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
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
	const files, kills = 40, 3
	tree := make(map[string]string)
	for i := range files {
		tree[fmt.Sprintf("dir%d/file%03d.go", i%7, i)] = fmt.Sprintf("only%d ", i) + manyWords(20_000)
	}
	k := &killer{t: t, after: 100 * time.Millisecond, left: kills, killed: make(map[string]bool)}
	got := wordcount(t.Context(), t, k.watch, writeTree(t, tree), "-v", "-top", "0")
	killed := k.stop()
	if len(killed) != kills {
		t.Errorf("killed %d workers, want %d: the run was too short", len(killed), kills)
	}

	// A worker that was waiting for a call, or had not read it yet, costs nothing.
	reported := regexp.MustCompile(`(?m)^wordcount: (dir\d/file\d+\.go): worker process (\d+) was killed by SIGKILL$`).FindAllStringSubmatch(got.stderr, -1)
	if len(reported) == 0 || len(reported) > kills {
		t.Errorf("%d files failed when %d workers were killed", len(reported), kills)
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
		fmt.Sprintf("%d workers (%d died), %d failed\n", 2+kills, kills, len(reported)),
		fmt.Sprintf("native count agrees: %d files, ", files-len(reported)),
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in the output:\n%s", want, got.stdout)
		}
	}
}
