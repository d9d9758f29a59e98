package executor

import (
	"fmt"
	"time"

	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/internal/wire"
)

// collectTimeout is what a worker may take to free its garbage.
const collectTimeout = 10 * time.Second

// checkMemory looks at what the worker, which holds no call, has grown to since it
// last loaded a module, and lets it rest or sends it home. It is loky's leak guard:
// what is too large is collected and looked at again first.
func (w *worker) checkMemory() error {
	c := w.core
	now, known := proc.Resident(w.pid)
	var err error
	if known && (w.reference == 0 || now-w.reference > c.opts.WorkerGrowth) {
		if err = w.collect(); err == nil {
			now, known = proc.Resident(w.pid)
		}
	}
	if err != nil {
		return err
	}
	heavy := false
	c.update(func() {
		w.nextCheck = time.Now().Add(c.opts.GrowthCheck)
		if known && w.reference == 0 {
			w.reference = now
		}
		if known && now-w.reference > c.opts.WorkerGrowth {
			w.heavy, heavy = true, true
		}
		if !w.condemned {
			c.restLocked(w)
		}
	})
	if heavy {
		c.log.Info("worker has grown too much", "worker", w.number, "pid", w.pid, "bytes", now)
	}
	return nil
}

// collect has the worker free what it can and waits for that.
func (w *worker) collect() error {
	w.core.mu.Lock()
	w.armLocked(collectTimeout, nil)
	w.core.mu.Unlock()
	if err := w.conn.w.Write(wire.Header{Type: wire.TypeCollect}, nil); err != nil {
		return err
	}
	_, err := w.conn.r.Next(wire.Limits{{Type: wire.TypeCollected, Max: 0}})
	w.core.mu.Lock()
	defer w.core.mu.Unlock()
	w.disarmLocked()
	if w.condemned {
		return errCondemned
	}
	if err != nil {
		return fmt.Errorf("collect garbage: %w", err)
	}
	return nil
}
