package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A cpuUse is the processor time that this program and its processes have used.
type cpuUse struct {
	self    time.Duration
	reaped  time.Duration         // children that have ended, and theirs
	running map[int]time.Duration // descendants, by process
}

// cpuNow reads it; ok is false where the system does not tell.
func cpuNow() (u cpuUse, ok bool) {
	u.running = make(map[int]time.Duration)
	descendants(os.Getpid(), u.running)
	var self, children unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &self) != nil || unix.Getrusage(unix.RUSAGE_CHILDREN, &children) != nil {
		return u, false
	}
	u.self, u.reaped = total(self), total(children)
	return u, true
}

func total(r unix.Rusage) time.Duration {
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// descendants adds the children of a process that run, and theirs.
func descendants(pid int, all map[int]time.Duration) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return
	}
	for _, task := range tasks {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err != nil {
			continue
		}
		for child := range bytes.FieldsSeq(children) {
			pid, err := strconv.Atoi(string(child))
			if err != nil || all[pid] != 0 {
				continue
			}
			all[pid] = max(1, cpuTime(pid))
			descendants(pid, all)
		}
	}
}

// cpuTime is the processor time of all threads of a process, those that have ended
// too, by its clock: see clock_getcpuclockid(3). It is 0 for a process that is gone.
func cpuTime(pid int) time.Duration {
	const cpuClockSched = 2
	var t unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|cpuClockSched), &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// busyFor is the processor time after which a process is taken to be in its call.
const busyFor = 2 * time.Millisecond

// awaitBusy waits until a process computes.
func awaitBusy(ctx context.Context, pid int) error {
	t := time.NewTicker(200 * time.Microsecond)
	defer t.Stop()
	for began := cpuTime(pid); cpuTime(pid)-began < busyFor; {
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("process %d does not compute: %w", pid, context.Cause(ctx))
		}
	}
	return nil
}
