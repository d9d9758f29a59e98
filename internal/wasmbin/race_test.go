//go:build race

package wasmbin_test

// raceEnabled is whether the test binary has the race detector.
const raceEnabled = true
