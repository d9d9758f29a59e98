package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// A verdict is a target and what was found.
type verdict struct {
	What  string `json:"what"`
	Met   bool   `json:"met"`
	Known bool   `json:"known"` // false if a cell that it needs is missing
	Found string `json:"found"`
	Want  string `json:"want"`
}

// word is how tables begin a line.
func (v verdict) word() string {
	switch {
	case !v.Known:
		return "????"
	case v.Met:
		return "PASS"
	default:
		return "MISS"
	}
}

// judge compares a run with the targets.
func (r *results) judge() {
	r.Targets = nil
	r.judgeLatency()
	r.judgeRates()
	r.judgePayloads()
	r.judgeStarts()
	r.judgeGuests()
	r.judgePauses()
}

// atMost judges a figure of a cell that may not be more. A nil cell is unknown.
func (r *results) atMost(what string, u unit, c *cell, of func(*cell) float64, want float64) {
	v := verdict{What: what, Want: "at most " + u.text(want)}
	if c != nil {
		v.Known, v.Found, v.Met = true, u.text(of(c)), of(c) <= want
	}
	r.Targets = append(r.Targets, v)
}

func (r *results) atLeast(what string, u unit, c *cell, want float64) {
	v := verdict{What: what, Want: "at least " + u.text(want)}
	if c != nil {
		v.Known, v.Found, v.Met = true, u.text(c.Median), c.Median >= want
	}
	r.Targets = append(r.Targets, v)
}

// ratioAtLeast judges how many times longer a peer takes than Sandpool's cell.
func (r *results) ratioAtLeast(what string, ours, peer *cell, want float64) {
	v := verdict{What: what, Want: "at least " + unitTimes.text(want)}
	if ours != nil && peer != nil {
		x := worse(unitTime, peer.Median, ours.Median)
		v.Known, v.Met = true, x >= want
		v.Found = fmt.Sprintf("%s (%s against %s)", unitTimes.text(x), unitTime.text(ours.Median), unitTime.text(peer.Median))
	}
	r.Targets = append(r.Targets, v)
}

func median(c *cell) float64 { return c.Median }
func p99(c *cell) float64    { return c.P99 }

func (r *results) judgeLatency() {
	row := r.row("latency-64")
	r.atMost("no-op call of 64 bytes, one in flight", unitTime, row.find(sandpoolName, ""), median, 2000)
	busy := r.row("latency-64-busy")
	floor, ours := busy.find("pipe", ""), busy.find(sandpoolName, "")
	v := verdict{What: "the same with every core busy", Want: "at most 1.50x of the pipe, no worse p99"}
	if floor != nil && ours != nil {
		x := worse(unitTime, ours.Median, floor.Median)
		v.Known, v.Met = true, x <= 1.5 && ours.P99 <= floor.P99
		v.Found = fmt.Sprintf("%s, p99 %s against %s", unitTimes.text(x), unitTime.text(ours.P99), unitTime.text(floor.P99))
	}
	r.Targets = append(r.Targets, v)
	r.ratioAtLeast("clean instance and call of a Go module, as the caller sees it: against wazero, fresh",
		row.find(sandpoolName, "Go guest"), row.find("wazero", "fresh, Go guest"), 500)
	r.ratioAtLeast("the same against wasmtime, fresh",
		row.find(sandpoolName, "Go guest"), row.find("wasmtime", "fresh, Go guest"), 4)
}

func (r *results) judgeRates() {
	row := r.row("map-2")
	r.atLeast("Map with two workers, guest in C, warm", unitRate, row.find(sandpoolName, "warm"), 1e6)
	r.atLeast("Map with two workers, guest in C, a clean instance each", unitRate, row.find(sandpoolName, ""), 5e5)
	r.atLeast("Submit with two workers", unitRate, r.row("submit-2").find(sandpoolName, ""), 1e5)
}

func (r *results) judgePayloads() {
	for _, c := range []struct {
		row, what string
		want      float64
	}{{"echo-1m", "echo of 1 MiB", 10}, {"echo-64m", "echo of 64 MiB", 8}} {
		row := r.row(c.row)
		var best *cell
		for _, side := range [][2]string{{"go-plugin", ""}, {"extism", "reuse"}, {"loky", ""}} {
			if peer := row.find(side[0], side[1]); peer != nil && (best == nil || peer.Median < best.Median) {
				best = peer
			}
		}
		name := ""
		if best != nil {
			name = ", which is " + best.Contender
		}
		r.ratioAtLeast(c.what+", against the best of go-plugin, Extism and loky"+name, row.find(sandpoolName, ""), best, c.want)
	}
}

func (r *results) judgeStarts() {
	cold := r.row("cold")
	r.ratioAtLeast("first result of a cold program, against loky", cold.find(sandpoolName, ""), cold.find("loky", ""), 5)
	r.atMost("crash until the next good result, with a standby", unitTime, r.row("crash").find(sandpoolName, "standby"), median, 2e6)
	r.atMost("deadline and kill until the next good result, with a standby", unitTime, r.row("deadline").find(sandpoolName, "KillOnly, standby"), median, 2e6)
	r.atMost("a live clone of a Go module", unitBytes, r.row("live").find(sandpoolName, "Go guest"), median, 100<<10)
}

func (r *results) judgeGuests() {
	for _, name := range []string{"compute-sieve", "compute-fib"} {
		row := r.row(name)
		plain := row.find("wazero", "reuse")
		r.speedAtLeast(name+": speed of plain wazero's that a call has which can be ended", row.find(sandpoolName, ""), plain, 0.8)
		r.speedAtLeast(name+": the same under KillOnly, but for a twentieth", row.find(sandpoolName, "KillOnly"), plain, 0.95)
	}
}

// speedAtLeast judges a share of another's speed.
func (r *results) speedAtLeast(what string, ours, plain *cell, want float64) {
	v := verdict{What: what, Want: fmt.Sprintf("at least %.2fx", want)}
	if ours != nil && plain != nil && ours.Median > 0 {
		x := plain.Median / ours.Median
		v.Known, v.Met, v.Found = true, x >= want, fmt.Sprintf("%.2fx", x)
	}
	r.Targets = append(r.Targets, v)
}

func (r *results) judgePauses() {
	for _, c := range []struct{ row, what string }{
		{"stall-ticker", "ticker of 1 ms while a guest computes, p99"},
		{"stall-gc", "runtime.GC() while a guest computes, p99"},
		{"overshoot", "sleep of 1 ms while all workers answer no-ops, p99"},
	} {
		r.atMost(c.what, unitTime, r.row(c.row).find(sandpoolName, ""), p99, 2e6)
	}
}

// printTargets writes the verdicts for a terminal.
func (r *results) printTargets(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range r.Targets {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", v.word(), v.What, v.Found, v.Want)
	}
	_ = t.Flush() // nothing is to be done about a terminal
	fmt.Fprintf(w, "on %d cores, under load %s to %s\n", r.Machine.Cores, r.LoadBefore, r.LoadAfter)
}
