package cpus

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Host returns the system this process runs on, as it is now, without a Max.
// Affinity is the mask of the process's first thread, which is what taskset -p
// and an init function locked to its thread change; the files are read when the
// System counts.
func Host() System {
	return System{Root: os.DirFS("/"), Affinity: affinity(os.Getpid()), Logical: runtime.NumCPU()}
}

// affinity returns the mask of a thread, or nil if the kernel does not tell.
func affinity(thread int) []int {
	// A set smaller than the kernel's own is refused; that has at most 8192 CPUs.
	for size := 1 << 10; size <= 1<<16; size <<= 2 {
		set := unix.NewCPUSet(size)
		err := unix.SchedGetaffinityDynamic(thread, set)
		if errors.Is(err, unix.EINVAL) {
			continue
		}
		if err != nil {
			return nil
		}
		mask := make([]int, 0, set.Count())
		for cpu := range size {
			if set.IsSet(cpu) {
				mask = append(mask, cpu)
			}
		}
		return mask
	}
	return nil
}
