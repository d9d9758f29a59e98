package main

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/sandpool/sandpool/bench/internal/kernels"
	"github.com/sandpool/sandpool/bench/internal/measure"
)

// A row is the same work for every contender.
type row struct {
	name, title string
	unit        unit
	job         measure.Job
	once        bool // one round is enough
	quick       bool // among the rows of a quick run
	chart       bool // has a chart in the report
}

const (
	kib = 1 << 10
	mib = 1 << 20

	callBytes = 64                    // of a call that is not about its payload
	deadline  = 30 * time.Millisecond // of a call that is over its time
	stallTime = time.Second           // that a guest computes while pauses are measured
	idleCount = 4                     // workers whose memory is looked at
)

// Tasks take some ten milliseconds, in native code.
var (
	sieveTask = kernels.Task{Kernel: kernels.Sieve, N: kernels.MaxN, Repeats: 40}
	fibTask   = kernels.Task{Kernel: kernels.Fib, N: 27, Repeats: 4}
)

// rows are those of the benchmark, in the order of the report.
func rows() []row {
	all := []row{
		{
			name: "latency-64", title: "Echo of 64 bytes, one call in flight", unit: unitTime, quick: true, chart: true,
			job: measure.Job{Kind: measure.Echo, Size: callBytes},
		},
		{
			name: "latency-64-busy", title: "The same while other processes keep every core busy", unit: unitTime,
			job: measure.Job{Kind: measure.Echo, Size: callBytes, Busy: true},
		},
		{name: "echo-64k", title: "Echo of 64 KiB", unit: unitTime, quick: true, job: measure.Job{Kind: measure.Echo, Size: 64 * kib}},
		{name: "echo-1m", title: "Echo of 1 MiB", unit: unitTime, quick: true, chart: true, job: measure.Job{Kind: measure.Echo, Size: mib}},
		{name: "echo-64m", title: "Echo of 64 MiB", unit: unitTime, chart: true, job: measure.Job{Kind: measure.Echo, Size: 64 * mib}},
	}
	for _, n := range []int{1, 2, 4} {
		all = append(all,
			row{
				name: fmt.Sprint("submit-", n), title: fmt.Sprint("Calls of 64 bytes, as many as go in, workers: ", n), unit: unitRate, quick: n == 2, chart: n == 2,
				job: measure.Job{Kind: measure.Submit, Size: callBytes, Workers: n},
			},
			row{
				name: fmt.Sprint("map-", n), title: fmt.Sprint("The same through the contender's own map, workers: ", n), unit: unitRate, quick: n == 2, chart: n == 2,
				job: measure.Job{Kind: measure.Map, Size: callBytes, Workers: n},
			})
	}
	return slices.Concat(all, eventRows(), hostRows())
}

// eventRows are about starts, ends and what guests compute.
func eventRows() []row {
	return []row{
		{
			name: "cold", title: "First result of a program that was not running, compiled code on disk", unit: unitTime, quick: true, chart: true,
			job: measure.Job{Kind: measure.Cold, Size: callBytes},
		},
		{
			name: "crash", title: "The process that holds a call is killed: until the next good result", unit: unitTime, quick: true, chart: true,
			job: measure.Job{Kind: measure.Crash, Size: callBytes},
		},
		{
			name: "trap", title: "The guest traps: from that call's start until the next good result", unit: unitTime,
			job: measure.Job{Kind: measure.Trap, Size: callBytes},
		},
		{
			name: "deadline", title: fmt.Sprintf("An endless call with %v of time: from its deadline until the next good result", deadline), unit: unitTime, quick: true, chart: true,
			job: measure.Job{Kind: measure.Deadline, Size: callBytes, Limit: deadline},
		},
		{
			name: "compute-sieve", title: "A call that computes: loops over memory", unit: unitTime, quick: true, chart: true,
			job: measure.Job{Kind: measure.Compute, Task: sieveTask},
		},
		{
			name: "compute-fib", title: "A call that computes: nothing but calls of a small function", unit: unitTime,
			job: measure.Job{Kind: measure.Compute, Task: fibTask},
		},
	}
}

// hostRows are about what the host has of it.
func hostRows() []row {
	return []row{
		{
			name: "stall-ticker", title: "How late a ticker of 1 ms in the host is while a guest computes for a second", unit: unitTime, quick: true, chart: true,
			job: measure.Job{Kind: measure.Stall, Task: sieveTask, Limit: stallTime},
		},
		{
			name: "stall-gc", title: "How long runtime.GC takes in the host then", unit: unitTime,
			job: measure.Job{Kind: measure.StallGC, Task: sieveTask, Limit: stallTime},
		},
		{
			name: "overshoot", title: "How late a sleep of 1 ms in the host ends while all workers answer no-ops", unit: unitTime, quick: true,
			job: measure.Job{Kind: measure.Overshoot, Size: callBytes, Workers: runtime.NumCPU()},
		},
		{
			name: "idle", title: "Memory of an idle worker that has answered calls (Pss)", unit: unitBytes, once: true, quick: true,
			job: measure.Job{Kind: measure.Idle, Size: callBytes, Workers: idleCount},
		},
		{
			name: "live", title: "Memory of one more live instance of a Go guest, once it has answered a call", unit: unitBytes, once: true, quick: true,
			job: measure.Job{Kind: measure.Live, Size: callBytes, Workers: idleCount},
		},
		{
			name: "speed-up", title: "Tasks that compute: two workers against one", unit: unitTimes, quick: true,
			job: measure.Job{Kind: measure.SpeedUp, Task: sieveTask, Workers: 2},
		},
	}
}

// scaleRows are the long ones, for sandpool and one peer.
func scaleRows() (all []row) {
	for _, n := range []int{100, 10_000, 1_000_000} {
		all = append(all, row{
			name: fmt.Sprint("calls-", n), title: fmt.Sprint("Start, calls of 64 bytes and their results, with two workers: ", n), unit: unitTime, once: true,
			job: measure.Job{Kind: measure.Calls, Size: callBytes, Workers: 2, Count: n},
		})
	}
	for n := 1; n <= 64; n *= 2 {
		all = append(all, row{
			name: fmt.Sprint("workers-", n), title: fmt.Sprint("Calls of 64 bytes, as many as go in, workers: ", n), unit: unitRate,
			job: measure.Job{Kind: measure.Submit, Size: callBytes, Workers: n},
		})
	}
	for _, p := range []struct {
		label string
		size  int
	}{{"1k", kib}, {"32k", 32 * kib}, {"1m", mib}, {"32m", 32 * mib}, {"256m", 256 * mib}} {
		all = append(all, row{
			name: "payload-" + p.label, title: "Echo, bytes: " + p.label, unit: unitTime,
			job: measure.Job{Kind: measure.Echo, Size: p.size},
		})
	}
	for _, n := range []int{1, 10, 50, 200} {
		all = append(all, row{
			name: fmt.Sprint("modules-", n), title: fmt.Sprint("Start and one call of each of so many modules or plugins: ", n), unit: unitTime, once: true,
			job: measure.Job{Kind: measure.Modules, Size: callBytes, Count: n},
		})
	}
	return all
}
