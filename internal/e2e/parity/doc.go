// Package parity holds the tests that loky's own test suite has of its process
// pool, rewritten for Sandpool: one for each row of docs/differences-from-loky.md
// that applies here, named after the row's code. Where the two differ on purpose,
// the test is of what Sandpool does instead.
package parity
