//go:build !race

package msgpack_test

// raceEnabled is whether the test binary has the race detector.
const raceEnabled = false
