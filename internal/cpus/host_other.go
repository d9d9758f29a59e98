//go:build !linux

package cpus

import "runtime"

// Host returns the system this process runs on, without a Max. Here it is only
// the number of CPUs that the Go runtime has found, which minds the affinity mask
// where the system has one; there are no quotas, and cores are not told apart.
func Host() System { return System{Logical: runtime.NumCPU()} }
