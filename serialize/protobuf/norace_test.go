//go:build !race

package protobuf_test

// raceEnabled is whether the test binary has the race detector.
const raceEnabled = false
