//go:build !race

package sandbox

// raceBuild is whether this is a build with the race detector.
const raceBuild = false
