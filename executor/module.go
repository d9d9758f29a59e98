package executor

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/sandpool/sandpool/internal/codecache"
	"github.com/sandpool/sandpool/internal/engine"
	"github.com/sandpool/sandpool/internal/shm"
	"github.com/sandpool/sandpool/internal/wasmbin"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// A moduleKey is the module and how its code is instrumented: each mode is compiled by
// itself, and has images of its own.
type moduleKey struct {
	sum  [sha256.Size]byte
	mode wasmbin.Mode
}

// A module is a module as an executor holds it: what is handed to workers, and
// the calls that wait for that to exist.
type module struct {
	source *serialize.Module
	mode   wasmbin.Mode // of its code

	mu    sync.Mutex // guards fresh; held while it is made
	fresh *program   // for startmethod.Fresh, once a worker needed it; use shared

	// Guarded by core.mu.
	users   int                      // calls that are not done, and workers that hold one
	calls   uint64                   // in all
	lastUse uint64                   // for eviction
	retired bool                     // a handle was pointed away from it
	bytes   int64                    // what measureLocked has found
	private int64                    // of these, fresh's
	pace    map[string]time.Duration // how long each function's calls take, the last ones counting most
	state   readiness                // of the compiled code
	waiting callList                 // calls that need it
	err     error                    // of a failed compilation
	retryAt time.Time
	backoff time.Duration

	images map[imageKey]*image

	initFailures int // of Options.Initializer in this module, in a row
	initErr      error
	initRetryAt  time.Time

	// Constant once state is compiled. entry is nil when workers compile for
	// themselves.
	program   *program
	entry     *shm.Blob
	entryName []byte
}

// startBackoff is the pause after the first failure to start a process; it
// doubles up to maxBackoff. After maxStartFailures in a row, calls fail.
const (
	startBackoff     = 10 * time.Millisecond
	maxBackoff       = 5 * time.Second
	maxStartFailures = 5
)

// readiness is how far a module's compiled code has got.
type readiness int

const (
	uncompiled readiness = iota
	compiling
	compiled
	refused // compiling failed; retried after retryAt
)

// Bounds of what an executor keeps of modules.
const (
	maxModules     = 256         // modules held without a call
	maxPaces       = 1024        // functions of one module whose pace is known
	firstRefusal   = time.Minute // how long a module that failed to compile is refused; doubles
	longestRefusal = time.Hour
)

// moduleLocked returns the executor's entry for a module, new if need be.
func (c *core) moduleLocked(source *serialize.Module, mode wasmbin.Mode) *module {
	key := moduleKey{source.Sum(), mode}
	m := c.modules[key]
	if m == nil {
		c.evictLocked()
		m = &module{source: source, mode: mode, pace: make(map[string]time.Duration)}
		c.modules[key] = m
		c.measureLocked(m)
	}
	c.lastUse++
	m.lastUse = c.lastUse
	c.evictBytesLocked()
	return m
}

// close frees the shared bytes; no worker is being given them.
func (m *module) close() {
	if m.fresh != nil {
		m.fresh.close()
	}
	if m.entry != nil {
		_ = m.entry.Close()
	}
	if m.program != nil {
		m.program.close()
	}
}

// shared returns the module in the form that workers get it that share nothing.
func (c *core) shared(m *module) (*program, error) {
	p, made, err := m.share()
	if made {
		c.update(func() {
			m.private = p.bytes.Size()
			c.measureLocked(m)
			c.evictBytesLocked()
		})
	}
	return p, err
}

// share is shared; made tells whether it has made the program only now.
func (m *module) share() (p *program, made bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fresh != nil {
		return m.fresh, false, nil
	}
	if p, err = freshProgram(m.source, m.mode); err != nil {
		return nil, false, err
	}
	m.fresh = p
	return p, true, nil
}

// prepareLocked reports whether a call can be queued for a worker. If not, the
// call waits for its module, or is done with the reason why that cannot be had.
func (c *core) prepareLocked(cl *call) bool {
	m := cl.module
	if m.initFailures >= maxStartFailures && cl.kind == callFunction && time.Now().Before(m.initRetryAt) {
		c.finishLocked(cl, nil, copyError(m.initErr))
		return false
	}
	if cl.target.method == startmethod.Fresh || m.state == compiled {
		return c.methodLocked(cl)
	}
	if m.state == refused && time.Now().Before(m.retryAt) {
		c.finishLocked(cl, nil, copyError(m.err))
		return false
	}
	m.waiting.push(cl)
	if m.state != compiling {
		m.state = compiling
		c.wg.Go(func() { c.prepare(m) }) // exits when the template has; settleLocked kills that
	}
	return false
}

// prepare gets a module's compiled code and lets the waiting calls go on.
func (c *core) prepare(m *module) {
	p, blob, entry, hit, err := c.program(m)
	c.update(func() {
		if err != nil {
			c.refuseLocked(m, err)
			return
		}
		m.state, m.program, m.entry = compiled, p, blob
		if entry != nil {
			m.entryName = entry.Name[:]
		}
		if hit {
			c.stats.CacheHits++
		} else if entry != nil {
			c.stats.Compiled++
		}
		c.measureLocked(m)
		for m.waiting.len() > 0 {
			c.enqueueLocked(m.waiting.pop(), false)
		}
		c.evictBytesLocked()
	})
}

// program rewrites a module and gets its compiled code.
func (c *core) program(m *module) (p *program, blob *shm.Blob, entry *codecache.Entry, hit bool, err error) {
	if p, err = newProgram(m.source, m.mode); err != nil {
		return nil, nil, nil, false, loadError(err)
	}
	entry, hit, err = c.entryFor(m, p)
	if err == nil && entry != nil {
		if blob, err = shm.NewBlob("sandpool-code", entry.Code); err == nil {
			if err = p.strip(); err != nil {
				_ = blob.Close()
			}
		}
		if err != nil {
			err = &StartError{Stage: "load", Err: err}
		}
	}
	if err != nil {
		p.close()
		return nil, nil, nil, false, err
	}
	if p.unfit != "" {
		c.log.Info("instances of the module cannot be restored: its calls run precompiled", "module", m.source.Name(), "reason", p.unfit)
	}
	return p, blob, entry, hit, nil
}

// paceLocked notes how long a call of a function took.
func (m *module) paceLocked(function string, took time.Duration) {
	if before := m.pace[function]; before > 0 {
		took = (3*before + took) / 4
	} else if len(m.pace) >= maxPaces {
		clear(m.pace)
	}
	m.pace[function] = max(took, 1)
}

// startedLocked notes whether an instance of the module was set up. After several
// failures of the initializer in a row calls are refused for a while, ever longer.
func (m *module) startedLocked(err error) {
	if e, ok := errors.AsType[*StartError](err); !ok || e.Stage != stageInitializer {
		m.initFailures = 0
		return
	}
	m.initFailures++
	m.initErr = err
	if n := m.initFailures - maxStartFailures; n >= 0 {
		m.initRetryAt = time.Now().Add(min(startBackoff<<min(n, 16), maxBackoff))
	}
}

// refuseLocked fails the calls that wait for a module which cannot be compiled,
// and for a while those that come.
func (c *core) refuseLocked(m *module, err error) {
	m.state, m.err = refused, err
	if _, ok := errors.AsType[*serialize.ModuleError](err); ok {
		// The module is at fault: do not spend a minute of compiling on each call.
		m.backoff = min(max(firstRefusal, 2*m.backoff), longestRefusal)
		m.retryAt = time.Now().Add(m.backoff)
	}
	for m.waiting.len() > 0 {
		c.finishLocked(m.waiting.front(), nil, copyError(err))
	}
}

// entryFor returns a module's compiled code, from disk (hit) or from a template
// process. A nil entry means that workers have to compile for themselves.
func (c *core) entryFor(m *module, p *program) (entry *codecache.Entry, hit bool, err error) {
	id := codecache.ID{Module: p.sum, Engine: c.engine, Target: engine.Target()}
	if c.store != nil {
		e, err := c.store.Get(id)
		if err == nil {
			return &e, true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			c.log.Warn("compiled module is not used", "module", m.source.Name(), "error", err)
		}
	}
	select {
	case c.compiles <- struct{}{}:
		defer func() { <-c.compiles }()
	case <-c.quit:
		return nil, false, ErrShutdown
	}
	began := time.Now()
	if entry, err = c.compilePatiently(m, p); err != nil || entry == nil {
		return nil, false, err
	}
	c.log.Info("module compiled", "module", m.source.Name(), "digest", m.source.Digest(), "took", time.Since(began))
	if c.store != nil {
		if err := c.store.Put(id, *entry); err != nil {
			c.log.Warn("compiled module is not kept on disk", "module", m.source.Name(), "error", err)
		}
	}
	return entry, false, nil
}

// compilePatiently compiles a module, trying again when it was the process that
// failed and not the module.
func (c *core) compilePatiently(m *module, p *program) (entry *codecache.Entry, err error) {
	for failures := 0; ; {
		entry, err = c.compile(m, p)
		failures++
		if _, again := errors.AsType[*StartError](err); !again || failures == maxStartFailures {
			return entry, err
		}
		timer := time.NewTimer(startBackoff << failures)
		select {
		case <-timer.C:
		case <-c.quit:
			timer.Stop()
			return nil, ErrShutdown
		}
	}
}

// copyError returns an error value of its own for another future.
func copyError(err error) error {
	switch e := err.(type) { //nolint:errorlint // only errors that this package made itself, unwrapped
	case *StartError:
		clone := *e
		return &clone
	case *serialize.ModuleError:
		clone := *e
		return &clone
	default:
		return fmt.Errorf("%w", err)
	}
}
