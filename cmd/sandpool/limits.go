package main

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/sandpool/sandpool/executor"
)

// limits are the flags of a call's further limits. 0 turns one off.
type limits struct {
	cpu            time.Duration
	stack, fuel    int64
	stdout, stderr size
	fileSize       size
	killOnly       bool
}

// add gives a command the flags and what their values are to begin with.
func (l *limits) add(f *pflag.FlagSet) {
	l.stack, l.stdout, l.stderr, l.fileSize = 10_000, 1<<20, 1<<20, 1<<30
	f.DurationVar(&l.cpu, "cpu", 0, "processor `time` of a call, such as 300ms; 0 for no limit but --timeout")
	f.Int64Var(&l.stack, "stack", l.stack, "most `functions` on a call's stack; 0 for what the engine allows")
	f.Int64Var(&l.fuel, "fuel", 0, "most `units` that a call may execute, about one an instruction; 0 for no limit")
	f.Var(&l.stdout, "stdout", "most that a call may print, such as 64KiB; 0 for no limit")
	f.Var(&l.stderr, "stderr", "most that a call may print to its standard error; 0 for no limit")
	f.Var(&l.fileSize, "file-size", "how large a call may make a file in a --dir that is writable; 0 for no limit")
	f.BoolVar(&l.killOnly, "kill-only", false, "end calls by killing their worker, and run code as it is: a little faster; --cpu and --stack do not count")
}

// check reports values that flags cannot tell by themselves.
func (l *limits) check() error {
	switch {
	case l.cpu < 0:
		return usagef("--cpu: %v is negative", l.cpu)
	case l.stack < 0:
		return usagef("--stack: %d is negative", l.stack)
	case l.fuel < 0:
		return usagef("--fuel: %d is negative", l.fuel)
	default:
		return nil
	}
}

// set has the options hold the limits.
func (l *limits) set(o *executor.Options) {
	if l.killOnly {
		o.Interrupt = executor.KillOnly
	}
	o.Limits.CPU, o.Limits.Fuel = l.cpu, l.fuel
	o.Limits.Stack = offIfZero(l.stack)
	o.Limits.Stdout, o.Limits.Stderr = int64(offIfZero(l.stdout)), int64(offIfZero(l.stderr))
	o.Limits.FileSize = int64(offIfZero(l.fileSize))
}

// offIfZero spells no limit as the executor does.
func offIfZero[T ~int64](v T) T {
	if v == 0 {
		return -1
	}
	return v
}
