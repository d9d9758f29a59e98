package parity_test

// segfault is kill where there are no signals.
func segfault(pid int) error { return kill(pid) }
