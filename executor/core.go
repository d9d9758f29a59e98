package executor

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/sandpool/sandpool/internal/codecache"
	"github.com/sandpool/sandpool/internal/engine"
	"github.com/sandpool/sandpool/internal/proc"
)

// A phase is how far an executor has been shut down. It only moves down.
type phase int

const (
	open     phase = iota
	draining       // Shutdown: no new calls
	closed         // Close, or broken: no calls at all
)

// A core is an executor without its handle. Every change of its state goes
// through update.
type core struct {
	opts        Options
	setup       setup
	log         *slog.Logger
	launcher    *proc.Launcher
	store       *codecache.Store       // nil without a cache directory
	results     *resultCache           // nil without one
	inline      bool                   // set by tests: modules travel through the pipe, as they do off Linux
	engine      string                 // names the engine in the store
	reusable    weak.Pointer[Reusable] // that it belongs to; set before its first call
	compiles    chan struct{}          // holds a token for each template process that may compile
	turns       chan struct{}          // and for each that may capture
	imageAge    time.Duration          // after which an image is captured anew
	maxImages   int                    // that are kept of all modules
	maxCode     int64                  // bytes of modules and code that a worker holds
	captureTime time.Duration          // that a capture may take; 0 for what captureTimeout says
	numbers     atomic.Uint64          // counts snapshots
	groups      groups                 // control groups of workers

	wg       sync.WaitGroup // every goroutine of the executor but finish's
	finisher sync.Once      // starts finish
	lacking  sync.Once      // warns that the sandbox lacks something
	quit     chan struct{}  // closed by settleLocked when no module needs compiling any more
	drained  chan struct{}  // closed by settleLocked when nothing is left to do
	finished chan struct{}  // closed by finish when everything is released

	mu         sync.Mutex // guards the fields below; never held across I/O (a signal does not block) or a user's code
	phase      phase
	broken     error                // why the executor is; nil while it is not
	pending    int                  // calls that are not done
	waiting    int                  // of these, that count against MaxPending
	queue      queue                // calls that are ready for a worker
	over       callList             // calls whose context was found ended, until they have heard of it
	bundles    map[*call]struct{}   // calls with items that are not done
	blocked    map[*tenant]struct{} // tenants with calls whose Submit waits for room
	modules    map[moduleKey]*module
	stopGrace  time.Duration          // set by tests; see stopGrace
	hottest    *module                // the one with the most calls, for standbys
	tenants    int                    // how many different ones have had calls; 2 for more
	soleTenant string                 // the first of them
	classes    uint64                 // counts images
	capturing  map[*image]*module     // images that are being captured
	snapshots  map[*snapshot]struct{} // those with users
	fleet      fleet
	arriving   *call                      // of the Submit whose transition this is
	lent       *worker                    // whose call is lent; nil for none
	now        time.Time                  // of this transition; zero until somebody asks
	fed        []*worker                  // that may be handed more calls, of this transition
	after      []func()                   // what is left to be done without the lock
	procs      map[*proc.Process]struct{} // every process that has not been reaped
	serving    map[*proc.Process]struct{} // of these, the workers that have come up
	news       chan struct{}              // closed when a worker has come up, or failed to; nil when nobody waits
	timer      *time.Timer                // runs tick
	wake       time.Time                  // when timer fires; zero when it is not set
	lastUse    uint64                     // counts uses of modules
	stats      Stats                      // its counters; the gauges are filled in by Stats

	moduleBytes int64 // that modules take

	startFailures int       // in a row
	startErr      error     // the last one's
	failedAt      time.Time // when that was
	notBefore     time.Time // no worker is started before
}

func newCore(o Options, id uint64, setup setup) *core {
	c := &core{
		opts:      o,
		setup:     setup,
		imageAge:  maxImageAge,
		maxImages: maxImages,
		maxCode:   maxWorkerCode,
		log:       o.Logger,
		launcher:  proc.NewLauncher(),
		compiles:  make(chan struct{}, max(1, o.Workers/2)),
		turns:     make(chan struct{}, max(1, o.Workers/2)),
		drained:   make(chan struct{}),
		finished:  make(chan struct{}),
		quit:      make(chan struct{}),
		queue:     newQueue(o.TenantWorkers),
		blocked:   make(map[*tenant]struct{}),
		bundles:   make(map[*call]struct{}),
		modules:   make(map[moduleKey]*module),
		stopGrace: stopGrace,
		capturing: make(map[*image]*module),
		snapshots: make(map[*snapshot]struct{}),
		fleet:     newFleet(o.Workers),
		procs:     make(map[*proc.Process]struct{}),
		serving:   make(map[*proc.Process]struct{}),
		stats:     Stats{ID: id},
	}
	if o.ResultCache > 0 {
		c.results = newResultCache(o.ResultCache)
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
	for _, do := range c.transition(f) {
		do()
	}
}

// afterTransition is set by tests: it looks at the state that a transition has left,
// under its lock.
var afterTransition func(c *core)

// transition is update up to what has to be done without the lock. A panic in it
// breaks the executor: it ends every call and says why, since nothing can be said for the state
// any more.
func (c *core) transition(f func()) (after []func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() {
		if p := recover(); p != nil {
			c.panickedLocked(p)
		}
		after, c.after = c.after, nil
	}()
	c.now = time.Time{}
	f()
	c.settleLocked()
	c.arriving, c.now = nil, time.Time{}
	if afterTransition != nil {
		afterTransition(c)
	}
	return nil // set above
}

// aside is update for what needs no settling.
func (c *core) aside(f func()) {
	var after []func()
	func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		f()
		after, c.after = c.after, nil
	}()
	for _, do := range after {
		do()
	}
}

// nowLocked is the time of the transition that is under way. Many things want to know it,
// and once is enough.
func (c *core) nowLocked() time.Time {
	if c.now.IsZero() {
		c.now = time.Now()
	}
	return c.now
}

func (c *core) panickedLocked(p any) {
	stack := string(debug.Stack())
	c.after = append(c.after, func() { c.log.Error("executor panicked", "panic", p, "stack", stack) })
	c.breakLocked(fmt.Errorf("panic in the executor: %v", p))
}

// settleLocked hands queued calls to idle workers, starts and retires workers,
// and when the executor is shut down and has no calls left sends all home.
func (c *core) settleLocked() {
	if c.phase != closed { // then no call is left, and after a panic nothing to rely on
		c.dispatchLocked()
		for c.admitLocked() {
			c.dispatchLocked()
		}
		c.topUpLocked()
		c.sizeLocked()
		if c.phase == open || c.pending > 0 {
			return
		}
	}
	if c.phase != closed {
		c.retireAllIdleLocked()
	}
	c.endOthersLocked()
	if len(c.fleet.all) == 0 && !closedAlready(c.drained) {
		c.stopTimerLocked()
		close(c.drained)
	}
}

// endOthersLocked ends what no call waits for any more: compilations, and workers
// that have not come up.
func (c *core) endOthersLocked() {
	if !closedAlready(c.quit) {
		close(c.quit)
		c.tellLocked()
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

// tellLocked wakes those who wait for workers.
func (c *core) tellLocked() {
	if c.news != nil {
		close(c.news)
		c.news = nil
	}
}

// wakeLocked sees to it that the state is settled again at t, or before.
func (c *core) wakeLocked(t time.Time) {
	if !c.wake.IsZero() && !t.Before(c.wake) {
		return
	}
	c.wake = t
	wait := max(0, time.Until(t))
	if c.timer == nil {
		c.timer = time.AfterFunc(wait, c.tick)
	} else {
		c.timer.Reset(wait)
	}
}

// tick does what is to be done because time has passed.
func (c *core) tick() {
	c.update(func() {
		c.wake = time.Time{}
		c.freeStalledLocked()
	})
}

func (c *core) stopTimerLocked() {
	if c.timer != nil {
		c.timer.Stop()
	}
}

// enqueueLocked queues a call, in front if it has had its turn before, or lets it
// wait for its module.
func (c *core) enqueueLocked(cl *call, front bool) {
	cl.state, cl.worker, cl.seq = Queued, nil, 0
	if cl.kind != callPreload && cl.depth == 1 && !cl.counted {
		c.countWaitingLocked(cl)
	}
	if !c.prepareLocked(cl) {
		return
	}
	if cl.kind != callPreload {
		c.queue.push(cl, front)
		return
	}
	c.giveTaskLocked(cl)
}

// countWaitingLocked counts a call as waiting.
func (c *core) countWaitingLocked(cl *call) {
	cl.counted = true
	c.waiting++
	cl.tenant.waiting++
}

// leaveQueueLocked counts a call as waiting no more.
func (c *core) leaveQueueLocked(cl *call) {
	if cl.counted {
		cl.counted = false
		c.waiting--
		cl.tenant.waiting--
	}
}

// unlistLocked takes a call out of the list it is in, if any.
func (c *core) unlistLocked(cl *call) {
	c.leaveQueueLocked(cl)
	switch {
	case cl.list == nil:
	case cl.ready:
		c.queue.remove(cl)
	default:
		blocked := cl.tenant != nil && cl.list == &cl.tenant.blocked
		cl.list.remove(cl)
		if blocked && cl.tenant.blocked.len() == 0 {
			delete(c.blocked, cl.tenant)
		}
	}
}

// finishLocked completes a call. A call that is done stays as it is.
func (c *core) finishLocked(cl *call, output []byte, err error) {
	if cl.state == Done {
		return
	}
	blocked := cl.list != nil && cl.admitted != nil && !closedAlready(cl.admitted)
	if blocked {
		close(cl.admitted)
	}
	c.unlistLocked(cl)
	ahead := cl.state == Queued && cl.worker != nil
	cl.state, cl.output, cl.err = Done, output, err
	cl.owner = nil
	c.afterCallLocked(cl)
	if cl.items != nil {
		c.finishItemsLocked(cl, err)
	}
	if cl.module != nil {
		c.leaveModuleLocked(cl.module)
	}
	if cl.tenant != nil {
		c.pending--
		if !blocked && cl.items == nil { // else it never was taken in, or its items are counted
			c.stats.count(err)
		}
		c.queue.release(cl.tenant)
	}
	switch {
	case cl.worker == nil:
		cl.forget() // else its worker may still be at it, and does so then
	case ahead:
		c.dropLocked(cl.worker)
	}
	close(cl.done)
}

// afterCallLocked lists what the end of a call brings about outside the lock.
func (c *core) afterCallLocked(cl *call) {
	if cl.release != nil {
		c.after = append(c.after, func() { cl.release() })
	}
	if cl.hook != nil {
		c.after = append(c.after, cl.hook)
	}
	if end := cl.endHost; end != nil {
		cause := cl.err
		if cause == nil {
			cause = errCallOver
		}
		c.after = append(c.after, func() { end(cause) })
	}
	if parent := cl.parent; parent != nil {
		c.after = append(c.after, func() { parent.core.count(parent, -1) })
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
