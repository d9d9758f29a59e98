package executor

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sandpool/sandpool/startmethod"
)

// A State is how far a call has got.
type State int

// The states of a call. It moves down this list, but for a call that is run again
// or given back by its worker: that is queued once more.
const (
	Queued  State = iota // waiting for a worker, for its turn in one, or for its module to be compiled
	Running              // run by a worker
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
	StartMethod startmethod.Method // how it really got its instance
	CPU         time.Duration      // processor time of its worker's process; 0 unless [Func.Meter] is set
	Fuel        int64              // units that the function has taken, see [Limits]; 0 unless [Func.Meter] is set
	KillOnly    string             // why the call could be ended only by killing its worker, though [Options.Interrupt] has no such wish; empty otherwise
	Fallback    string             // why that is not the method asked for, or why it has no image; empty otherwise
	HostCalls   int64              // host functions that it has run, by all its attempts; log lines do not count
}

// A call is one submitted call, without its types.
type call struct {
	core      *core
	target    target
	input     []byte
	size      int    // of input
	flags     uint16 // of its CALL
	kind      callKind
	submitted time.Time
	done      chan struct{}
	admitted  chan struct{}   // closed when the call is queued or done; nil unless its Submit waits for room
	values    context.Context //nolint:containedctx // what Submit's ctx carries, for host functions; it never ends
	ended     <-chan struct{} // closed when Submit's ctx has ended; nil if it cannot, as are the next two
	expire    func()          // ends the call with the cause of that
	watch     func()          // has expire called then
	bind      func(*call)     // makes another call end with the same ctx; of a Map's calls only
	streams   *callStreams    // nil for none
	items     *items          // nil but for such a one
	keep      *resultKey      // where the result is to be kept; nil for nowhere

	depth  int           // 1 unless nested
	parent *call         // that submitted it; nil unless nested
	budget *atomic.Int64 // nested calls that it and all around it may still submit

	turn     bool   // it has one of core.turns; of the capture's goroutine
	captures *image // that it stands for the capture of; nil for every call that was submitted

	// Guarded by core.mu until done is closed, constant from then on. output and
	// err are set by core.finishLocked only.
	pinned   *worker     // that has to run it; for a preload only
	readies  bool        // it also makes an instance ready; for a preload only
	owner    *Executor   // keeps the handle alive while the call is not done
	release  func() bool // stops watching the call's context
	state    State
	refused  bool   // it was not taken in
	hook     func() // called when it is done, unless it was not taken in; must not block
	untaken  bool   // it is done without having been taken in
	requeued bool   // it has had a worker that never began it
	deaths   int    // workers that died running it
	counted  bool   // against MaxPending
	ready    bool   // it is in the queue, not in another list
	list     *callList
	direct   *worker // that it was lent to; set before Submit returns
	prev     *call   // in list
	next     *call
	tenant   *tenant
	module   *module
	worker   *worker         // that holds it
	start    start           // how it gets its instance, once it is ready
	seq      uint64          // its number in the worker; 0 until it has been written
	nested   int             // calls it has submitted that are not done
	hostCtx  context.Context //nolint:containedctx // of its host functions; nil until the first
	endHost  context.CancelCauseFunc
	usage    Usage
	output   []byte
	err      error
}

// A callKind is what a worker is asked for.
type callKind int

const (
	callFunction callKind = iota // the function's result
	callDescribe                 // the module's description
	callCommand                  // a command's result
	callPreload                  // nothing: only to load the module; internal
)

// newCall returns a call for t that is not queued yet.
func newCall(t target, input []byte) *call {
	return &call{
		target: t, input: input, size: len(input), depth: 1, submitted: time.Now(), done: make(chan struct{}),
		usage: Usage{StartMethod: t.method},
	}
}

// failed returns a call that is done with err and that no core has seen.
func failed(err error) *call {
	cl := newCall(target{}, nil)
	cl.state, cl.err, cl.untaken = Done, err, true
	close(cl.done)
	return cl
}

// forget, under the core's lock, drops what only a call that goes on needs.
func (cl *call) forget() {
	cl.input, cl.module, cl.worker, cl.tenant = nil, nil, nil, nil
	cl.values, cl.hostCtx, cl.parent, cl.hook = nil, nil, nil, nil
	cl.expire, cl.watch, cl.bind = nil, nil, nil
	if cl.core != nil {
		cl.core.releaseLocked(cl.start.snap)
	}
	cl.start = start{}
}
