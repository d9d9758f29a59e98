// Package workerprofile has a worker of the benchmark profile itself. It is linked
// into the benchmark's worker and nothing else, and does nothing without [Variable].
//
// A worker in its sandbox cannot write a profile: it has no files, and its limit on
// the size of files is 0. So the benchmark runs such a worker without the sandbox
// (executor.NoSandbox), and the profile goes into a named pipe that the program reads.
package workerprofile

import (
	"fmt"
	"os"
	"runtime/pprof"
	"time"
)

// Variable is the environment variable that has a worker profile itself: with
// executor.Options.Env, and executor.NoSandbox. It is the path of a named pipe.
const Variable = "SANDPOOL_BENCH_PROFILE"

// Time is what of a worker's life the profile shows, from its start.
const Time = 5 * time.Second

// Start starts the profile, which a goroutine writes after Time. That goroutine ends
// then, or with the process.
func Start(path string) {
	go func() {
		if err := profile(path); err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
		}
	}()
}

func profile(path string) error {
	w := new(pending)
	if err := pprof.StartCPUProfile(w); err != nil {
		return err
	}
	<-time.After(Time)
	pprof.StopCPUProfile()
	return w.send(path)
}

// A pending is what a profile has so far. It is kept in memory, since what was open
// at the start of a worker is closed.
type pending struct{ b []byte }

// Write implements io.Writer.
func (w *pending) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

func (w *pending) send(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(w.b)
	return err
}
