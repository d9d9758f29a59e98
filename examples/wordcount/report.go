package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/sandpool/sandpool/executor"
)

// printTop prints the most frequent words as a table.
func printTop(w io.Writer, found *tally, most int) {
	lines := found.top(most)
	if len(lines) == 0 {
		return
	}
	width := len(grouped(lines[0].count))
	for _, line := range lines {
		fmt.Fprintf(w, "%*s  %s\n", width, grouped(line.count), line.word)
	}
	fmt.Fprintln(w)
}

// printSummary prints what the calls took.
func printSummary(w io.Writer, found *tally, failed int, took time.Duration, stats executor.Stats) {
	megabytes := float64(found.bytes) / 1e6
	fmt.Fprintf(w, "%s, %.1f MB in %.1f s (%.1f MB/s), %s, %s failed\n",
		several(found.files+failed, "call"), megabytes, took.Seconds(), megabytes/took.Seconds(), workers(stats), grouped(failed))
}

// workers says how many worker processes there were, and how many were lost.
func workers(stats executor.Stats) string {
	s := several(int(stats.WorkersStarted), "worker")
	if stats.WorkersDied > 0 {
		s += fmt.Sprintf(" (%s died)", grouped(int(stats.WorkersDied)))
	}
	return s
}

func several(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return grouped(n) + " " + noun
}

// grouped is n with a space between thousands.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	var b strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(' ')
		}
		b.WriteRune(digit)
	}
	return b.String()
}
