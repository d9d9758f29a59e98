package executor

import (
	"os"

	"github.com/sandpool/sandpool/internal/cpus"
)

// CPUCount returns how many CPUs this process may use, at least 1. It is the
// lowest of
//   - the CPUs of the process's affinity mask, that of its first thread;
//   - the CPU quota of the process's control group and of every group above it
//     that can be seen, version 1 or 2, rounded up;
//   - the environment variable SANDPOOL_MAX_CPU_COUNT, a positive integer; any
//     other value is ignored here and reported by [New].
//
// The first two are Linux's; elsewhere runtime.NumCPU takes their place. What
// cannot be read limits nothing. Unlike runtime.GOMAXPROCS it rounds half a CPU up
// to 1, not 2.
//
// Each call asks anew, because quotas and masks change while a process runs. That
// reads a few small files; BenchmarkCPUCount has the cost.
func CPUCount() int {
	n, _ := cpuCount()
	return n
}

// PhysicalCPUCount returns how many physical cores the CPUs of the process's
// affinity mask belong to, efficiency cores included, or [CPUCount] if that is
// lower: a quota or SANDPOOL_MAX_CPU_COUNT wins then. It is also CPUCount where
// the cores cannot be told apart, which outside of Linux is always.
//
// It reads a file of /sys for each CPU of the mask, and keeps nothing.
func PhysicalCPUCount() int {
	s, _ := usableCPUs()
	return s.Physical()
}

// cpuCount is CPUCount with an *OptionError if the variable has a value that
// makes no sense. The count is good in any case.
func cpuCount() (int, error) {
	s, err := usableCPUs()
	return s.Count(), err
}

// usableCPUs returns the system at hand with the user's limit. A limit that makes
// no sense is left out and is the error, an *OptionError.
func usableCPUs() (cpus.System, error) {
	s := cpus.Host()
	most, err := cpus.ParseMax(os.Getenv(cpus.Variable))
	if err != nil {
		return s, &OptionError{Option: cpus.Variable, Reason: err.Error()}
	}
	s.Max = most
	return s, nil
}
