// Package proc starts, kills and reaps worker processes and moves file
// descriptors between host and worker. It knows nothing of what they say to each
// other.
//
// # Processes and goroutines
//
// A [Launcher] owns one goroutine, locked to its thread, that starts every
// process: on Linux a worker is killed when the thread that started it ends, so
// that thread must outlive them all. Each [Process] owns one goroutine that
// drains its standard error and exits when the last holder of that pipe is gone.
package proc
