package executor

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/internal/ring"
	"github.com/sandpool/sandpool/internal/wire"
)

// A worker is one worker process and the goroutine that owns it, which talks to the
// process in blocking writes and reads. While it sleeps others may do so in its place for
// a moment, where nothing blocks: see direct.go.
type worker struct {
	core   *core
	number int
	dirs   string        // that its guests may be given, as a world has them
	wake   chan struct{} // holds 1: the worker may have something to do

	poked atomic.Bool // since the owner last looked
	nap   nap

	io sync.Mutex // guards the fields below; held by the owner goroutine but for its sleep

	lost     error // why the process is, found by another than the owner
	borrowed bool  // another goroutine than the owner takes an answer
	conn     *conn
	slots    slotTable
	slot     uint32      // of the calls it serves
	sending  []callFrame // reused by unsent
	releases bool        // the owner, asleep, is going to see to the arena's memory
	quietTo  uint64      // the last call sent to whose answer the worker may not wake the host
	cold     bool        // the current call had its module loaded
	yielded  time.Time   // when the goroutine last let others run

	// Guarded by core.mu. held are its calls in the order of their turns: the first
	// is running, the others are handed ahead. One that is done may stay
	// among them until the process has answered or dropped it.
	direct      bool          // calls can go the short way
	lent        *call         // its first call, sent by Submit and looked after by nobody yet; or nil
	backstop    bool          // the deadline is that of being lent
	process     *proc.Process // nil until it has been started
	pid         int
	standby     bool // spare
	ready       bool // the handshake is done
	out         bool // of service: it gets no call any more
	condemned   bool // being killed
	retired     bool // being sent home
	bound       bool // it serves domain, since boundAt
	boundAt     time.Time
	domain      string
	modules     map[[sha256.Size]byte]struct{} // that the process has loaded
	begun       uint64                         // up to which number it has said that it has begun its calls
	stock       *module                        // that it was last told to load as a standby
	stockImage  *snapshot                      // of which it has made an instance ready then; nil for none
	tasks       callList                       // to be done before it serves
	held        []*call
	room        []*call // empty, for held
	lastSeq     uint64  // of calls written
	revoking    bool    // a REVOKE of the calls from revokeFrom to revokeTo has not been answered
	stopping    bool    // it has been told to end its first call, which is done
	stops       bool    // the code of the slot that it serves can be ended
	stoppable   bool    // it could be
	surrendered bool    // and they have been given to others already
	deadBytes   int     // of dropped calls that may still be unread in the pipe
	deadSeq     uint64  // the last of these
	revokeFrom  uint64
	revokeTo    uint64
	serving     *tenant // whose call it runs; nil while it is idle
	depth       int     // of that call
	inHost      bool    // the call is in a host function
	logging     bool    // one of its log lines is in the user's handler
	parked      bool    // and waits for calls of its own: another worker may run
	began       time.Time
	idleSince   time.Time

	calls     int // served
	born      time.Time
	nextCheck time.Time // of its memory
	reference int64     // its memory after the last load; 0 when not known
	heavy     bool      // it has grown too much

	deadline time.Time                      // of what it does for its first call; zero for none
	limit    time.Duration                  // that it was set to
	late     func(over time.Duration) error // the call's error when it passes; nil for that of its wall limit
	timer    *time.Timer                    // calls expire; nil until first needed
	due      time.Time                      // when it fires; zero when it does not
}

// yieldEvery is how long an owner goroutine may go on before it lets others
// run: two of them would starve a machine of two cores.
const yieldEvery = 200 * time.Microsecond

// poke makes the owner goroutine look for something to do.
func (w *worker) poke() {
	w.poked.Store(true)
	select {
	case w.wake <- struct{}{}:
	default: // it has been poked
	}
	w.nap.interrupt()
}

// A nap is where a goroutine sleeps in the owner's place, holding io. Its zero value is
// nowhere.
type nap struct {
	mu   sync.Mutex // guards ring, which may be unmapped as soon as it is nil
	ring *ring.Ring
}

func (n *nap) set(r *ring.Ring) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ring = r
}

func (n *nap) interrupt() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ring != nil {
		n.ring.Interrupt()
	}
}

// run is the worker's life.
func (w *worker) run() {
	c := w.core
	left := false
	defer func() {
		if p := recover(); p != nil {
			w.panicked(p)
		} else if !left {
			w.panicked("a log handler has ended the goroutine")
		}
	}()
	l := c.opts.Limits
	hello := wire.Hello{
		Role: wire.RoleWorker,
		Data: baseData + uint64(l.Memory) + uint64(l.Input) + uint64(l.Output),
	}
	helloDirs(&hello, w.dirs, c.opts.Limits.FileSize)
	cn, err := c.connect("worker-"+strconv.Itoa(w.number), hello)
	if err != nil {
		left = true
		wanted := true
		c.update(func() {
			wanted = !closedAlready(c.quit) && c.phase != closed && !w.out
			c.outLocked(w)
			c.dropTasksLocked(w)
			delete(c.fleet.all, w)
			if wanted {
				c.startFailedLocked(err)
			}
		})
		if wanted {
			c.log.Warn("worker did not start", "worker", w.number, "error", err)
		}
		return
	}
	w.io.Lock()
	w.conn = cn
	if cn.ready.NoDirs != "" {
		left = true
		w.leaveWithoutDirs(cn)
		return
	}
	c.update(func() {
		w.direct = cn.ring != nil
		c.readyLocked(w)
	})
	c.log.Info("worker started", "worker", w.number, "pid", cn.p.PID)
	w.leave(w.serve())
	left = true
}

// panicked breaks the executor over a panic in the owner goroutine.
func (w *worker) panicked(p any) {
	c := w.core
	stack := debug.Stack()
	if w.conn != nil {
		w.conn.end(c)
	}
	c.log.Error("executor panicked", "worker", w.number, "panic", p, "stack", string(stack))
	c.update(func() {
		c.outLocked(w)
		w.disarmForGoodLocked()
		c.dropTasksLocked(w)
		c.breakLocked(fmt.Errorf("panic in the executor: %v", p))
		delete(c.fleet.all, w)
	})
}

// serve runs calls until the worker is sent home (nil) or lost.
func (w *worker) serve() error {
	w.yielded = time.Now()
	for {
		cl, err := w.await()
		if cl == nil || err != nil {
			return err
		}
		if err := w.serveCall(cl); err != nil {
			return err
		}
		if now := time.Now(); now.Sub(w.yielded) > yieldEvery {
			runtime.Gosched()
			w.yielded = now
		}
	}
}

// Why a worker is lost.
var (
	// errIdleDeath reports a worker that ended while it held no call.
	errIdleDeath = errors.New("worker ended by itself")
	// errCondemned reports a worker that is being killed on purpose.
	errCondemned = errors.New("worker killed by its host")
)

// await returns the call whose turn it is, or nil when the worker is sent home.
func (w *worker) await() (*call, error) {
	for {
		cl, home, err := w.turn()
		if cl != nil || home || err != nil {
			return cl, err
		}
		if w.owesAnswer() {
			if err := w.readRevoked(); err != nil {
				return nil, err
			}
			continue
		}
		died := w.sleep()
		switch {
		case w.lost != nil:
			return nil, w.lost
		case died && !w.holds():
			return nil, errIdleDeath
		}
	}
}

// sleep waits until there may be something to do, and reports whether the process has
// ended.
func (w *worker) sleep() (died bool) {
	release, exited := w.conn.idle(), w.conn.p.Exited()
	w.releases = release != nil
	w.io.Unlock()
	defer w.io.Lock()
	select {
	case <-w.wake:
		return false
	case <-exited:
		return true
	case <-release:
	}
	w.io.Lock()
	defer w.io.Unlock()
	if !w.holds() {
		w.conn.release()
	}
	return false
}

// holds reports whether the worker has a call.
func (w *worker) holds() bool {
	w.core.mu.Lock()
	defer w.core.mu.Unlock()
	return len(w.held) > 0
}

// turn looks for something to do.
func (w *worker) turn() (cl *call, home bool, err error) {
	w.poked.Store(false)
	w.core.mu.Lock()
	defer w.core.mu.Unlock()
	switch {
	case w.condemned:
		return nil, false, errCondemned
	case len(w.held) > 0:
		return w.held[0], false, nil
	default:
		return nil, w.retired, nil
	}
}

// A notBegunError wraps the reason why a call never reached its worker.
type notBegunError struct{ err error }

func (e notBegunError) Error() string { return "call not begun: " + e.err.Error() }

func (e notBegunError) Unwrap() error { return e.err }

// notBegun marks a failed write to a process that was already gone.
func notBegun(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return notBegunError{err}
	}
	return err
}

// arm starts the clock of what the worker does next for cl; 0 means none. late
// makes the call's error when time is up.
func (w *worker) arm(cl *call, limit time.Duration, late func(over time.Duration) error) {
	w.core.mu.Lock()
	defer w.core.mu.Unlock()
	if len(w.held) > 0 && w.held[0] == cl && !w.stopping {
		w.armLocked(limit, late)
	}
}

func (w *worker) armLocked(limit time.Duration, late func(over time.Duration) error) {
	w.deadline = time.Time{}
	if limit <= 0 {
		return
	}
	w.deadline, w.late, w.limit, w.backstop = time.Now().Add(limit), late, limit, false
	w.setTimerLocked(limit)
}

// setTimerLocked has the timer fire at the deadline, which is wait away, or before: one that
// is set already and finds itself too early costs less than to set it for each call.
func (w *worker) setTimerLocked(wait time.Duration) {
	if !w.due.IsZero() && !w.due.After(w.deadline) {
		return
	}
	w.due = w.deadline
	if w.timer == nil {
		w.timer = time.AfterFunc(wait, w.expire)
	} else {
		w.timer.Reset(wait)
	}
}

func (w *worker) disarmLocked() { w.deadline, w.late = time.Time{}, nil }

// disarmForGoodLocked is disarmLocked for a worker that is gone.
func (w *worker) disarmForGoodLocked() {
	w.disarmLocked()
	if w.timer != nil {
		w.timer.Stop()
	}
}

// expire ends the call whose time is up, if that is still so.
func (w *worker) expire() {
	c := w.core
	c.update(func() {
		over := c.nowLocked().Sub(w.deadline)
		w.due = time.Time{}
		if w.deadline.IsZero() {
			return // that was for a call which is over
		}
		if over < 0 { // another one's clock runs
			w.setTimerLocked(-over)
			return
		}
		if w.backstop {
			c.expireLentLocked(w)
			return
		}
		if len(w.held) > 0 {
			c.apartAtLocked(w, 0)
			if first := w.held[0]; first.kind == callPreload && first.seq != 0 {
				c.unsteadyLocked(first)
				c.finishLocked(first, nil, nil) // the module is loaded
			} else {
				c.finishLocked(first, nil, w.lateError(first, over))
			}
		}
		if w.stopping || len(w.held) > 0 && w.held[0].seq == 0 {
			c.condemnLocked(w) // it has not answered
		} else {
			c.stopLocked(w)
		}
	})
}
