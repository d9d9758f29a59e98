package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/sandpool/sandpool/bench/internal/measure"
	"github.com/sandpool/sandpool/internal/benchtest"
)

// errNoEnd is the error of a call that was to fail and has not.
var errNoEnd = errors.New("the call that never ends has ended well")

// since returns what this program and all others have used since before. For a
// contender in a process of its own, host is that process's and not this program's.
func (u cpuUse) since(before cpuUse, host int) (hosts, workers time.Duration) {
	hosts = u.self - before.self
	workers = u.reaped - before.reaped
	for pid, t := range u.running {
		workers += t - before.running[pid]
	}
	for pid, t := range before.running {
		if _, ok := u.running[pid]; !ok {
			workers -= t // it was reaped since, with all that it had used before
		}
	}
	if host != os.Getpid() && host != 0 {
		t := u.running[host] - before.running[host]
		hosts, workers = t, workers-t
	}
	return hosts, max(0, workers)
}

// processMemory is what a process occupies.
func processMemory(pid int) (benchtest.Memory, error) {
	m, ok := benchtest.MemoryOf(pid)
	if !ok {
		return m, errors.New("the system does not say what memory a process has")
	}
	return m, nil
}

// memoryCell measures the memory of processes, one sample each: Pss in bytes.
func memoryCell(pids func() []int, end func() error) measure.Cell {
	return cellFuncs{func(context.Context, measure.Box) (s measure.Samples, err error) {
		for _, pid := range pids() {
			m, err := processMemory(pid)
			if err != nil {
				return s, err
			}
			s.Each = append(s.Each, float64(m.Pss))
		}
		return s, nil
	}, end}
}
