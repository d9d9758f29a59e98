package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sandpool/sandpool/executor"
)

// totals add up what the calls took.
type totals struct {
	loaded  time.Duration // from the start until the executor was there
	queue   time.Duration
	run     time.Duration
	slowest time.Duration
	memory  int64
	cold    int
	methods map[string]int // calls by how they got their instance
	why     string         // the last reason why that was not as asked
}

func (t *totals) add(u executor.Usage) {
	t.queue += u.Queue
	t.run += u.Run
	t.slowest = max(t.slowest, u.Run)
	t.memory = max(t.memory, u.Memory)
	if u.Cold {
		t.cold++
	}
	if t.methods == nil {
		t.methods = make(map[string]int)
	}
	t.methods[string(u.StartMethod)]++
	if u.Fallback != "" {
		t.why = u.Fallback
	}
}

// printStats prints the run's figures, a heading and a line of text for each
// group.
func (r *runner) printStats() {
	s, t := r.ex.Stats(), r.totals
	line := func(heading, format string, args ...any) {
		fmt.Fprintf(r.err, "sandpool: %-8s %s\n", heading, oneLine(fmt.Sprintf(format, args...)))
	}
	round := func(d time.Duration) time.Duration { return d.Round(time.Microsecond) }
	line("calls", "%d submitted, %d succeeded, %d failed", s.Submitted, s.Succeeded, s.Failed)
	line("workers", "%d started, %d died or killed, %s with the module to load", s.WorkersStarted, s.WorkersDied+s.WorkersKilled, count(t.cold, "call"))
	line("module", "%d compiled, %d found compiled", s.Compiled, s.CacheHits)
	for _, method := range slices.Sorted(maps.Keys(t.methods)) {
		line("start", "%s %s", count(t.methods[method], "call"), method)
	}
	if t.why != "" {
		line("fallback", "%s", t.why)
	}
	line("time", "%v in all, %v before the first call; calls queued %v and ran %v, the slowest %v",
		round(time.Since(r.began)), round(t.loaded), round(t.queue), round(t.run), round(t.slowest))
	line("memory", "%s at most in a call", bytesText(uint64(max(t.memory, 0))))
	if len(s.Sandbox) > 0 {
		line("sandbox", "%s", strings.Join(s.Sandbox, ", "))
	}
	for _, missing := range s.SandboxMissing {
		line("missing", "%s", missing)
	}
}
