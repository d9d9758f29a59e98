package executor

import (
	"time"

	"github.com/sandpool/sandpool/internal/shm"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/startmethod"
)

// Bounds of the images that an executor keeps.
const (
	maxImages     = 256
	maxImageBytes = 1 << 30
	maxImageAge   = time.Hour // then a new one is captured: what init chose at random is not for ever
)

// An imageKey is everything that an image depends on besides the module, the
// initializer, the warm-up calls and the engine, which are the executor's.
type imageKey struct {
	tenant string // empty where tenants share
	memory int64  // limit
	host   string // host functions granted
	seed   uint64
}

// An image is what instances of a module start as for the calls of one class, under
// [startmethod.Snapshot] and [startmethod.Warm]. Guarded by core.mu.
type image struct {
	key     imageKey
	class   uint64 // counts images
	state   readiness
	waiting callList
	current *snapshot // the last one captured
	taken   time.Time
	reason  string // why there is none
	retryAt time.Time
	backoff time.Duration
	lastUse uint64
}

// A snapshot is a captured image. It is constant. The bytes of one that was replaced
// are freed with the last call that refers to it.
type snapshot struct {
	bytes *shm.Blob
	meta  wire.Image
}

// A start is how a call gets its instance.
type start struct {
	method startmethod.Method
	class  uint64    // of images; 0 for methods without
	snap   *snapshot // nil when the instance is initialised by itself
}

// imageKeyOf returns the key of a call's image.
func (c *core) imageKeyOf(cl *call) imageKey {
	t := &cl.target
	key := imageKey{memory: t.limits.Memory, host: t.host, seed: t.seed}
	if c.isolates() {
		key.tenant = t.tenant
	}
	return key
}

// methodLocked decides how a call whose module is compiled gets its instance. It
// reports false when the call has to wait for an image first.
func (c *core) methodLocked(cl *call) bool {
	m := cl.module
	cl.start = start{method: cl.target.method}
	cl.usage.StartMethod, cl.usage.Fallback = cl.start.method, ""
	if cl.start.method != startmethod.Snapshot && cl.start.method != startmethod.Warm {
		return true
	}
	img := c.imageLocked(m, c.imageKeyOf(cl))
	if cl.start.method == startmethod.Warm {
		cl.start.class = img.class
	}
	switch {
	case m.program.layout == nil:
		cl.fallBackLocked(m.program.unfit)
		return true
	case img.state == compiled:
		cl.start.class, cl.start.snap = img.class, img.current
		if cl.start.method == startmethod.Snapshot && time.Since(img.taken) > c.imageAge {
			img.taken = time.Now() // whatever comes of it: not again at the next call
			c.captureLocked(m, img, cl.target)
		}
		return true
	case img.state == refused && time.Now().Before(img.retryAt):
		cl.fallBackLocked(img.reason)
		return true
	case cl.insideLocked(img):
		cl.fallBackLocked("the call is part of the capture of its image")
		return true
	}
	img.waiting.push(cl)
	if img.state != compiling {
		img.state = compiling
		c.captureLocked(m, img, cl.target)
	}
	return false
}

// fallBackLocked gives a call an instance that is initialised for it.
func (cl *call) fallBackLocked(reason string) {
	if cl.start.method == startmethod.Snapshot {
		cl.start = start{method: startmethod.Precompiled}
	}
	cl.usage.StartMethod, cl.usage.Fallback = cl.start.method, reason
}

// insideLocked reports whether a call was submitted by a host function that the
// capture of an image waits for.
func (cl *call) insideLocked(img *image) bool {
	for p := cl.parent; p != nil; p = p.parent {
		if p.captures == img {
			return true
		}
	}
	return false
}

// needed reports whether a capture waits for another: the call that another one's
// host function has submitted.
func (c *core) needed(img *image) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cl := range img.waiting.appendTo(nil) {
		for p := cl.parent; p != nil; p = p.parent {
			if p.captures != nil {
				return true
			}
		}
	}
	return false
}

// imageLocked returns a module's image, new if need be.
func (c *core) imageLocked(m *module, key imageKey) *image {
	img := m.images[key]
	if img == nil {
		c.evictImageLocked()
		c.classes++
		img = &image{key: key, class: c.classes}
		if m.images == nil {
			m.images = make(map[imageKey]*image)
		}
		m.images[key] = img
	}
	c.lastUse++
	img.lastUse = c.lastUse
	return img
}

// evictImageLocked makes room for one more image by dropping the one that was not
// used for longest. Calls that refer to it keep it.
func (c *core) evictImageLocked() {
	var (
		count  int
		bytes  int64
		owner  *module
		oldest *image
	)
	for _, m := range c.modules {
		for _, img := range m.images {
			count++
			if img.current != nil {
				bytes += img.current.bytes.Size()
			}
			if img.state != compiling && (oldest == nil || img.lastUse < oldest.lastUse) {
				owner, oldest = m, img
			}
		}
	}
	if oldest != nil && (count >= maxImages || bytes >= maxImageBytes) {
		delete(owner.images, oldest.key)
	}
}

// captureLocked has a template process capture an image.
func (c *core) captureLocked(m *module, img *image, t target) {
	m.users++ // until it has
	c.capturing[img] = m
	c.wg.Go(func() { c.capture(m, img, t) }) // exits when the template has; settleLocked kills that
}

// capture gets an image and lets the waiting calls go on.
func (c *core) capture(m *module, img *image, t target) {
	began := time.Now()
	snap, err := c.take(m, img, t)
	c.update(func() {
		m.users--
		delete(c.capturing, img)
		if err == nil {
			img.state, img.current, img.taken = compiled, snap, time.Now()
			img.reason, img.backoff = "", 0
			c.stats.Captured++
		} else if img.current == nil {
			img.refuseLocked(err)
		}
		for img.waiting.len() > 0 {
			c.enqueueLocked(img.waiting.pop(), false)
		}
	})
	switch {
	case closedAlready(c.quit):
	case err != nil:
		c.log.Warn("no image of the module: its calls run precompiled", "module", m.source.Name(), "reason", err)
	default:
		c.log.Info("image captured", "module", m.source.Name(), "bytes", snap.meta.Size, "took", time.Since(began))
	}
}

// refuseLocked notes that an image could not be had. Calls run without it for a
// while, a short one when it was not the module's fault.
func (img *image) refuseLocked(err error) {
	img.state, img.reason = refused, err.Error()
	first, longest := firstRefusal, longestRefusal
	if !isVerdict(err) {
		first, longest = startBackoff, maxBackoff
	}
	img.backoff = min(max(first, 2*img.backoff), longest)
	img.retryAt = time.Now().Add(img.backoff)
}
