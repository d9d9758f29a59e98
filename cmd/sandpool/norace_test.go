//go:build !race

package main

// raceEnabled is whether the test binary has the race detector.
const raceEnabled = false
