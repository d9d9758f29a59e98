// Package benchtest has what benchmarks share that print a table of their own
// instead of one line a case: series of durations, the machine, the memory that a
// process occupies, and wazero as a program without Sandpool uses it.
//
// A comparison is made in rounds that take turns, so that what else the machine
// does falls on all of its sides.
package benchtest
