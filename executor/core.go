package executor

import (
	"crypto/sha256"
	"log/slog"
	"sync"
	"time"

	"github.com/sandpool/sandpool/internal/codecache"
	"github.com/sandpool/sandpool/internal/engine"
	"github.com/sandpool/sandpool/internal/proc"
)

// A phase is how far an executor has been shut down. It only moves down.
type phase int

const (
	open     phase = iota
	draining       // Shutdown: no new calls
	closed         // Close: no calls at all
)

// A core is an executor without its handle. Every change of its state goes
// through update.
type core struct {
	opts     Options
	log      *slog.Logger
	launcher *proc.Launcher
	store    *codecache.Store // nil without a cache directory
	inline   bool             // set by tests: modules travel through the pipe, as they do off Linux
	engine   string           // names the engine in the store
	compiles chan struct{}    // holds a token for each template process that may run

	wg       sync.WaitGroup // every goroutine of the executor but finish's
	finisher sync.Once      // starts finish
	quit     chan struct{}  // closed by settleLocked when no module needs compiling any more
	drained  chan struct{}  // closed by settleLocked when nothing is left to do
	finished chan struct{}  // closed by finish when everything is released

	mu      sync.Mutex // guards the fields below; never held across I/O (a signal does not block) or a user's code
	phase   phase
	queue   callList // ready to run, in order
	pending int      // calls that are not done
	modules map[[sha256.Size]byte]*module
	workers map[*worker]struct{}       // every worker whose goroutine has not ended
	idle    []*worker                  // the most recently used last
	after   []func()                   // what finishLocked leaves to be done without the lock
	procs   map[*proc.Process]struct{} // every process that has not been reaped
	serving map[*proc.Process]struct{} // of these, the workers that have come up
	timer   *time.Timer                // wakes settleLocked at notBefore; nil when none is set
	lastID  uint64                     // of calls
	lastNum int                        // of workers
	stats   Stats                      // its counters; the gauges are filled in by snapshot

	startFailures int       // in a row
	notBefore     time.Time // no worker is started before
}

// startBackoff is the pause after the first failure to start a worker; it
// doubles up to maxBackoff. After maxStartFailures in a row, queued calls fail.
const (
	startBackoff     = 10 * time.Millisecond
	maxBackoff       = 5 * time.Second
	maxStartFailures = 5
)

func newCore(o Options) *core {
	c := &core{
		opts:     o,
		log:      o.Logger,
		launcher: proc.NewLauncher(),
		compiles: make(chan struct{}, max(1, o.Workers/2)),
		drained:  make(chan struct{}),
		finished: make(chan struct{}),
		modules:  make(map[[sha256.Size]byte]*module),
		workers:  make(map[*worker]struct{}),
		procs:    make(map[*proc.Process]struct{}),
		serving:  make(map[*proc.Process]struct{}),
		quit:     make(chan struct{}),
	}
	if o.CacheDir != NoCacheDir {
		store, err := codecache.Open(o.CacheDir)
		if err != nil {
			c.log.Warn("compiled modules are not kept on disk", "error", err)
		} else {
			c.store, c.engine = store, engine.Identity(o.WorkerPath)
		}
	}
	return c
}

// update is the executor's one transition: it applies f to the state and then
// does what the new state asks for. f must not block.
func (c *core) update(f func()) {
	c.mu.Lock()
	f()
	c.settleLocked()
	after := c.after
	c.after = nil
	c.mu.Unlock()
	for _, do := range after {
		do()
	}
}

// settleLocked hands queued calls to idle workers, starts workers for the rest,
// and when the executor is shut down and has no calls left sends workers home.
func (c *core) settleLocked() {
	for c.queue.len() > 0 && len(c.idle) > 0 {
		w := c.idle[len(c.idle)-1]
		c.idle = c.idle[:len(c.idle)-1]
		c.assignLocked(w, c.queue.pop())
	}
	c.startWorkersLocked()
	if c.phase == open || c.pending > 0 {
		return
	}
	for _, w := range c.idle {
		w.retireLocked()
	}
	c.idle = nil
	c.endOthersLocked()
	if len(c.workers) == 0 && !closedAlready(c.drained) {
		c.stopTimerLocked()
		close(c.drained)
	}
}

// endOthersLocked ends what no call waits for any more: compilations, and workers
// that have not come up.
func (c *core) endOthersLocked() {
	if !closedAlready(c.quit) {
		close(c.quit)
	}
	for p := range c.procs {
		if _, up := c.serving[p]; !up {
			p.Kill()
		}
	}
}

func closedAlready(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// assignLocked gives an idle worker its next call.
func (c *core) assignLocked(w *worker, cl *call) {
	cl.state, cl.worker = Running, w
	cl.usage.Queue = time.Since(cl.submitted)
	cl.usage.Worker, cl.usage.PID = w.number, w.pid
	w.call = cl
	cl.module.users++ // the worker's own hold, until endCallLocked
	w.next <- cl      // has room: an idle worker's channel is empty
}

// startWorkersLocked starts as many workers as queued calls could use.
func (c *core) startWorkersLocked() {
	if c.queue.len() == 0 {
		return
	}
	starting, alive := 0, 0
	for w := range c.workers {
		if w.condemned {
			continue
		}
		alive++
		if !w.ready {
			starting++
		}
	}
	want := min(c.queue.len()-starting, c.opts.Workers-alive)
	if c.startFailures > 0 {
		want = min(want, 1-starting) // one tries, the others wait for its luck
	}
	if want <= 0 {
		return
	}
	if wait := time.Until(c.notBefore); wait > 0 {
		if c.timer == nil {
			c.timer = time.AfterFunc(wait, func() { c.update(c.stopTimerLocked) })
		}
		return
	}
	for range want {
		c.lastNum++
		w := &worker{core: c, number: c.lastNum, next: make(chan *call, 1)}
		c.workers[w] = struct{}{}
		c.wg.Go(w.run) // exits when its process is gone; Close kills that
	}
}

func (c *core) stopTimerLocked() {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}

// acceptLocked takes a new call in.
func (c *core) acceptLocked(cl *call) {
	c.lastID++
	cl.id = c.lastID
	c.pending++
	c.stats.Submitted++
	m := c.moduleLocked(cl.target.module)
	m.users++
	cl.module = m
	c.enqueueLocked(cl)
}

// enqueueLocked queues a call, or lets it wait for its module.
func (c *core) enqueueLocked(cl *call) {
	cl.state, cl.worker = Queued, nil
	if c.prepareLocked(cl) {
		c.queue.push(cl)
	}
}

// requeueLocked puts a call that its worker never began back to the front and
// reports whether it did. A call gets a second worker, but not a third: it may be
// what ends them.
func (c *core) requeueLocked(cl *call) bool {
	if cl.state != Running || cl.requeued {
		return false
	}
	cl.state, cl.worker, cl.requeued = Queued, nil, true
	c.queue.pushFront(cl)
	return true
}

// finishLocked completes a call. A call that is done stays as it is.
func (c *core) finishLocked(cl *call, output []byte, err error) {
	if cl.state == Done {
		return
	}
	if cl.list != nil {
		cl.list.remove(cl)
	}
	cl.state, cl.output, cl.err = Done, output, err
	cl.owner = nil
	if cl.release != nil {
		c.after = append(c.after, func() { cl.release() })
	}
	if cl.module != nil {
		cl.module.users--
		c.pending--
		c.stats.count(err)
	}
	if cl.worker == nil {
		cl.forget() // else its worker may still be at it, and does so then
	}
	close(cl.done)
}

// condemnLocked kills a worker; it gets no more calls and its place is free.
func (c *core) condemnLocked(w *worker) {
	w.condemned = true
	if w.process != nil {
		w.process.Kill()
	}
}

// startFailedLocked notes that a worker did not come up.
func (c *core) startFailedLocked(err error) {
	c.startFailures++
	c.notBefore = time.Now().Add(min(startBackoff<<min(c.startFailures-1, 16), maxBackoff))
	if c.startFailures < maxStartFailures {
		return
	}
	for w := range c.workers {
		if w.ready && !w.condemned {
			return // calls have a worker to wait for
		}
	}
	for c.queue.len() > 0 {
		c.finishLocked(c.queue.pop(), nil, copyError(err))
	}
}

// adopt registers a process so that Close kills it; one that comes too late is
// killed at once.
func (c *core) adopt(p *proc.Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.procs[p] = struct{}{}
	if c.phase == closed || closedAlready(c.quit) {
		p.Kill()
	}
}

// reap waits for a process that ends, or was told to, and forgets it.
func (c *core) reap(p *proc.Process) proc.Exit {
	exit := p.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.procs, p)
	delete(c.serving, p)
	return exit
}

// stop moves to phase p: draining refuses new calls, closed ends all others.
func (c *core) stop(p phase) {
	c.update(func() {
		if p <= c.phase {
			return
		}
		c.phase = p
		if p != closed {
			return
		}
		for _, cl := range c.allLocked() {
			c.finishLocked(cl, nil, ErrShutdown)
		}
		for w := range c.workers {
			w.condemned = true
		}
		c.idle = nil
		for pr := range c.procs {
			pr.Kill()
		}
	})
	// finish has no owner that waits for it by itself; Shutdown and Close wait for
	// what it closes. It exits when nothing is left.
	c.finisher.Do(func() { go c.finish() })
}

// allLocked lists the calls that are not done.
func (c *core) allLocked() []*call {
	calls := c.queue.all()
	for _, m := range c.modules {
		calls = append(calls, m.waiting.all()...)
	}
	for w := range c.workers {
		if w.call != nil {
			calls = append(calls, w.call)
		}
	}
	return calls
}

// finish releases everything once the executor has drained.
func (c *core) finish() {
	<-c.drained
	c.wg.Wait()
	c.launcher.Close()
	c.mu.Lock()
	for _, m := range c.modules {
		m.close()
	}
	clear(c.modules)
	c.mu.Unlock()
	close(c.finished)
}
