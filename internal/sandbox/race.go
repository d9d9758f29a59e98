//go:build race

package sandbox

// raceBuild widens the profiles by what the race detector's runtime calls.
const raceBuild = true
