package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	servers     = 4
	entries     = 500
	jobsPerCall = 16
	onceValue   = 7
)

// A job is answered on its channel by a goroutine that has run since init.
type job struct {
	n      int
	answer chan<- int
}

// machine is what init leaves for the calls.
var machine = struct {
	jobs    chan job
	ticker  *time.Ticker
	buffers sync.Pool
	squares map[int]int
	once    func() int
	onces   atomic.Int64
	served  [servers]int // each by its goroutine alone
	calls   int
}{
	jobs:    make(chan job),
	ticker:  time.NewTicker(time.Millisecond),
	buffers: sync.Pool{New: func() any { return new([256]byte) }},
	squares: make(map[int]int),
}

func init() {
	for i := range entries {
		machine.squares[i] = i * i
	}
	machine.once = sync.OnceValue(func() int { machine.onces.Add(1); return onceValue })
	for i := range servers {
		go func() { // for ever
			for j := range machine.jobs {
				machine.served[i]++
				j.answer <- machine.squares[j.n]
			}
		}()
	}
	runtime.Gosched() // they park
}

// machinery uses what there is and checks it. An input of "slow" also has it
// collect garbage and wait for timers.
func machinery(in []byte) ([]byte, error) {
	machine.calls++
	checks := []func() error{checkJobs, checkMap, checkPool, checkOnce}
	if string(in) == "slow" {
		checks = append(checks, checkCollector, checkTimers)
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return fmt.Appendf(nil, "ok %d", machine.calls), nil
}

func checkJobs() error {
	answers := make(chan int, jobsPerCall)
	want := 0
	for i := range jobsPerCall {
		n := (machine.calls + i) % entries
		want += n * n
		machine.jobs <- job{n, answers}
	}
	got := 0
	for range jobsPerCall {
		got += <-answers
	}
	served := 0
	for _, n := range machine.served {
		served += n
	}
	if got != want || served != machine.calls*jobsPerCall {
		return fmt.Errorf("jobs: got %d, want %d; %d served in %d calls", got, want, served, machine.calls)
	}
	return nil
}

func checkMap() error {
	machine.squares[entries] = machine.calls // and out again
	delete(machine.squares, entries)
	n := 0
	for k, v := range machine.squares {
		if v != k*k {
			return fmt.Errorf("map: %d has %d", k, v)
		}
		n++
	}
	if n != entries || len(machine.squares) != entries {
		return fmt.Errorf("map: %d of %d entries", n, len(machine.squares))
	}
	return nil
}

func checkPool() error {
	for range 8 {
		b, ok := machine.buffers.Get().(*[256]byte)
		if !ok || b[0] != 0 || b[255] != 0 {
			return fmt.Errorf("pool: %v", b)
		}
		b[0], b[255] = 1, 1
		b[0], b[255] = 0, 0
		machine.buffers.Put(b)
	}
	return nil
}

func checkOnce() error {
	if v, n := machine.once(), machine.onces.Load(); v != onceValue || n != 1 {
		return fmt.Errorf("once: value %d after %d runs", v, n)
	}
	return nil
}

func checkCollector() error {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	garbage := make([]*[64]byte, 2000)
	for i := range garbage {
		garbage[i] = new([64]byte)
		garbage[i][0] = byte(i)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	for i, p := range garbage {
		if p[0] != byte(i) {
			return fmt.Errorf("collector: object %d has %d", i, p[0])
		}
	}
	if after.NumGC <= before.NumGC || after.Mallocs-before.Mallocs < uint64(len(garbage)) {
		return fmt.Errorf("collector: %d to %d collections, %d to %d objects", before.NumGC, after.NumGC, before.Mallocs, after.Mallocs)
	}
	return nil
}

func checkTimers() error {
	first := <-machine.ticker.C
	if second := <-machine.ticker.C; !second.After(first) {
		return fmt.Errorf("ticker: %v after %v", second, first)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	select {
	case <-ctx.Done():
	case <-time.After(time.Minute):
	}
	if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("context: %v", err)
	}
	began := time.Now()
	time.Sleep(time.Millisecond)
	if d := time.Since(began); d < time.Millisecond {
		return fmt.Errorf("slept %v", d)
	}
	return nil
}
