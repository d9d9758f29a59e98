// Package escape holds the proof of the worker's sandbox: tests in which a worker
// is taken over by native code, as if a guest had broken out of WebAssembly, and tries
// what an attacker would.
package escape
