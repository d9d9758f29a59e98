package executor

import "runtime"

func CPUCount() int         { return runtime.GOMAXPROCS(0) }
func PhysicalCPUCount() int { return CPUCount() }
