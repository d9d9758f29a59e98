package executor

// CheckedCPUCount is cpuCount.
func CheckedCPUCount() (int, error) { return cpuCount() }
