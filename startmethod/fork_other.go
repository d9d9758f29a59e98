//go:build !windows

package startmethod

// haveFork says whether fork and forkserver are names of methods.
const haveFork = true
