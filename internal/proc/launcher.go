package proc

import (
	"runtime"
	"sync"
)

// A Launcher starts processes from one thread of its own, which lives until
// Close. It is safe for concurrent use; NewLauncher starts nothing yet.
type Launcher struct {
	mu      sync.Mutex // guards the fields below
	jobs    chan job   // unbuffered; nil until the first Start and after Close
	stopped chan struct{}
	closed  bool
}

type job struct {
	spec Spec
	done chan started // holds 1, so the launcher never waits for the asker
}

type started struct {
	p   *Process
	err error
}

// NewLauncher returns a Launcher.
func NewLauncher() *Launcher { return &Launcher{} }

// Start starts a process as spec says. It must not be called after Close.
func (l *Launcher) Start(spec Spec) (*Process, error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		panic("proc: Start after Close")
	}
	if l.jobs == nil {
		l.jobs = make(chan job)
		l.stopped = make(chan struct{})
		go l.run(l.jobs, l.stopped) // exits when Close closes jobs
	}
	jobs := l.jobs
	l.mu.Unlock()
	j := job{spec: spec, done: make(chan started, 1)}
	jobs <- j
	r := <-j.done
	return r.p, r.err
}

// run is the launcher's goroutine. It never unlocks its thread, so the thread
// ends with it and what was done to the thread (no_new_privs) does not spread.
func (*Launcher) run(jobs <-chan job, stopped chan<- struct{}) {
	runtime.LockOSThread()
	defer close(stopped)
	prepareThread()
	for j := range jobs {
		p, err := start(j.spec)
		j.done <- started{p, err}
	}
}

// Close ends the launcher's thread. Every process must have been reaped before,
// and no Start may be under way.
func (l *Launcher) Close() {
	l.mu.Lock()
	jobs, stopped := l.jobs, l.stopped
	l.jobs, l.closed = nil, true
	l.mu.Unlock()
	if jobs != nil {
		close(jobs)
		<-stopped
	}
}
