package executor

import (
	"time"

	"github.com/sandpool/sandpool/serialize"
)

// SetImageAge makes an executor that has not been used capture images anew after d.
func SetImageAge(e *Executor, d time.Duration) { e.core.imageAge = d }

// SetMaxImages makes an executor that has not been used keep n images.
func SetMaxImages(e *Executor, n int) { e.core.maxImages = n }

// SetCaptureTime gives the captures of an executor that has not been used d.
func SetCaptureTime(e *Executor, d time.Duration) { e.core.captureTime = d }

// Capturing is how many images are being captured.
func Capturing(e *Executor) int {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.capturing)
}

// Images is how many images of a module the executor has, or notes why there is none.
func Images(e *Executor, m *serialize.Module) int {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	if held := c.modules[moduleKey{m.Sum(), c.opts.mode()}]; held != nil {
		return len(held.images)
	}
	return 0
}

// Waiting is how many calls wait for an image of a module.
func Waiting(e *Executor, m *serialize.Module) int {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	if held := c.modules[moduleKey{m.Sum(), c.opts.mode()}]; held != nil {
		for _, img := range held.images {
			n += img.waiting.len()
		}
	}
	return n
}

// RetryCapturesNow makes an executor try the captures again that have failed.
func RetryCapturesNow(e *Executor) {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.modules {
		for _, img := range m.images {
			img.retryAt = time.Time{}
		}
	}
}

// Slots is how many slots the executor's workers have, which must be idle.
func Slots(e *Executor) int {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for w := range c.fleet.all {
		n += len(w.slots.slots)
	}
	return n
}

// ExpireImages makes an executor's images too old.
func ExpireImages(e *Executor) {
	c := e.core
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.modules {
		for _, img := range m.images {
			img.taken = time.Time{}
		}
	}
}
