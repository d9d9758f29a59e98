package executor

import (
	"container/list"
	"context"
	"strconv"
	"time"

	"github.com/sandpool/sandpool/startmethod"
)

// A State is how far a call has got.
type State int

// The states of a call. It only ever moves down this list.
const (
	Queued  State = iota // waiting for a worker, or for its module to be compiled
	Running              // held by a worker
	Done                 // has its result or error
)

// String returns the state's name.
func (s State) String() string {
	switch s {
	case Queued:
		return "queued"
	case Running:
		return "running"
	case Done:
		return "done"
	default:
		return "state " + strconv.Itoa(int(s))
	}
}

// A Usage is what a call took. Where a call was given to several workers, one after
// another, it speaks of the last.
type Usage struct {
	Queue       time.Duration      // from Submit until the worker began it
	Run         time.Duration      // in the guest, from its instance's start to its answer; 0 unless it succeeded
	Memory      int64              // peak size of the instance's linear memory in bytes; 0 unless it succeeded
	Attempts    int                // how many workers began it; 0 if none did
	Worker      int                // the worker's number in its executor, counted from 1; 0 if no worker had it
	PID         int                // the worker's process
	Cold        bool               // the worker had to load the module first
	Cached      bool               // the result is one of an earlier call of a Pure function
	StartMethod startmethod.Method // how it got its instance
}

// A call is one submitted call, without its types.
type call struct {
	id        uint64
	target    target
	input     []byte
	describe  bool // asks for the module's description instead
	submitted time.Time
	release   func() bool // stops watching the call's context
	done      chan struct{}

	// Guarded by core.mu until done is closed, constant from then on. output and
	// err are set by core.finishLocked only.
	owner    *Executor // keeps the handle alive while the call is not done
	state    State
	requeued bool          // it has had a worker that never began it
	list     *callList     // that holds it while it is queued
	elem     *list.Element // its place there
	module   *module
	worker   *worker // that holds it
	usage    Usage
	output   []byte
	err      error
}

// cancel ends the call with err if it is not done, and returns the state it was
// found in. A running call's worker is killed.
func (c *core) cancel(cl *call, err error) State {
	var found State
	c.update(func() {
		found = cl.state
		if found == Running {
			c.condemnLocked(cl.worker)
		}
		c.finishLocked(cl, nil, err)
	})
	return found
}

// newCall returns a call for t that is not queued yet.
func newCall(t target, input []byte) *call {
	return &call{
		target: t, input: input, submitted: time.Now(), done: make(chan struct{}),
		usage: Usage{StartMethod: t.method},
	}
}

// failed returns a call that is done with err and that no core has seen.
func failed(err error) *call {
	cl := newCall(target{}, nil)
	cl.state, cl.err = Done, err
	close(cl.done)
	return cl
}

// submit queues cl, to be ended when ctx ends. A call that cannot be queued comes
// back done, with the reason.
func (c *core) submit(ctx context.Context, cl *call) {
	c.update(func() {
		if c.phase != open {
			c.finishLocked(cl, nil, ErrShutdown)
			return
		}
		c.acceptLocked(cl)
	})
	if ctx.Done() != nil {
		c.watch(ctx, cl)
	}
}

// watch ends the call when ctx does. The callback has no owner to wait for it: it
// takes a lock, kills at most one process and returns.
func (c *core) watch(ctx context.Context, cl *call) {
	stop := context.AfterFunc(ctx, func() { c.cancel(cl, context.Cause(ctx)) })
	c.mu.Lock()
	done := cl.state == Done
	cl.release = stop
	c.mu.Unlock()
	if done {
		stop()
	}
}

// forget drops what only a call that goes on needs.
func (cl *call) forget() { cl.input, cl.module, cl.worker = nil, nil, nil }

// A callList is a queue of calls from which any one can be removed at once. Its
// zero value is empty.
type callList struct {
	l list.List
}

func (q *callList) len() int { return q.l.Len() }

func (q *callList) push(cl *call) { cl.list, cl.elem = q, q.l.PushBack(cl) }

func (q *callList) pushFront(cl *call) { cl.list, cl.elem = q, q.l.PushFront(cl) }

func (q *callList) remove(cl *call) {
	q.l.Remove(cl.elem)
	cl.list, cl.elem = nil, nil
}

// pop removes the first call of a list that is not empty.
func (q *callList) pop() *call {
	cl, _ := q.l.Front().Value.(*call)
	q.remove(cl)
	return cl
}

func (q *callList) all() []*call {
	calls := make([]*call, 0, q.l.Len())
	for e := q.l.Front(); e != nil; e = e.Next() {
		cl, _ := e.Value.(*call)
		calls = append(calls, cl)
	}
	return calls
}
