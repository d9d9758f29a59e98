// Package chaos holds a test that does everything to an executor at once: calls of
// every kind from several goroutines, while its workers are killed, its size
// changes, and it is shut down, closed and replaced. It finds what no single
// scenario does, so it is run for long from time to time:
//
//	make chaos DURATION=10m
//
// The random choices follow from a seed, which a run prints; SEED repeats them.
// The order in which goroutines and processes get their turns does not follow
// from it.
package chaos
