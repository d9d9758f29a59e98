package executor

import (
	"context"
	"fmt"
	"runtime/debug"
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
	world  world
}

// An image is what instances of a module start as for the calls of one class, under
// [startmethod.Snapshot] and [startmethod.Warm]. Guarded by core.mu.
type image struct {
	key     imageKey
	class   uint64 // counts images
	state   readiness
	waiting callList
	depth   int       // while it is compiling: that of the call it is captured for
	current *snapshot // the last one captured
	taken   time.Time
	reason  string // why there is none
	retryAt time.Time
	backoff time.Duration
	lastUse uint64

	unsteady bool // an instance could not be made ready for calls to come: see readies
}

// A snapshot is a captured image. It is constant but for users.
type snapshot struct {
	bytes *shm.Blob
	meta  wire.Image
	users int // calls that start from it, and the image that it is the current one of; guarded by core.mu
}

// adoptLocked counts a user of a snapshot.
func (c *core) adoptLocked(s *snapshot) *snapshot {
	if s.users++; s.users == 1 {
		c.snapshots[s] = struct{}{}
	}
	return s
}

// releaseLocked is the end of a user, and with the last one that of the bytes. There
// need not be a snapshot.
func (c *core) releaseLocked(s *snapshot) {
	if s == nil {
		return
	}
	if s.users--; s.users == 0 {
		delete(c.snapshots, s)
		c.after = append(c.after, func() { _ = s.bytes.Close() }) // workers have mapped it
	}
}

// releaseImagesLocked lets go of all images of a module.
func (c *core) releaseImagesLocked(m *module) {
	for _, img := range m.images {
		c.releaseLocked(img.current)
	}
	clear(m.images)
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
	key := imageKey{memory: t.limits.Memory, host: t.host, seed: t.seed, world: t.world}
	if c.isolates() || t.method == startmethod.Warm { // no instance serves two tenants
		key.tenant = t.tenant
	}
	return key
}

// methodLocked decides how a call whose module is compiled gets its instance. It
// reports false when the call has to wait for an image first.
func (c *core) methodLocked(cl *call) bool {
	m := cl.module
	c.releaseLocked(cl.start.snap)
	cl.start = start{method: cl.target.method}
	cl.usage.StartMethod, cl.usage.Fallback = cl.start.method, ""
	if cl.start.method != startmethod.Snapshot && cl.start.method != startmethod.Warm {
		return true
	}
	if reason := cl.target.onceOnly(); reason != "" {
		cl.start = start{method: startmethod.Precompiled}
		cl.usage.StartMethod, cl.usage.Fallback = cl.start.method, reason
		return true
	}
	unfit := m.program.layout == nil
	if unfit && cl.start.method == startmethod.Snapshot { // there is nothing to note, or to push others out for
		cl.fallBackLocked(m.program.unfit)
		return true
	}
	img := c.imageLocked(m, c.imageKeyOf(cl))
	if cl.start.method == startmethod.Warm {
		cl.start.class = img.class
	}
	switch {
	case unfit:
		cl.fallBackLocked(m.program.unfit)
		return true
	case img.state == compiled:
		cl.start.class, cl.start.snap = img.class, c.adoptLocked(img.current)
		if cl.start.method == startmethod.Snapshot && c.nowLocked().Sub(img.taken) > c.imageAge && c.capturing[img] == nil {
			img.taken = time.Now() // whatever comes of it: not again at the next call
			c.captureLocked(m, img, cl)
		}
		return true
	case img.state == refused && time.Now().Before(img.retryAt):
		cl.fallBackLocked(img.reason)
		return true
	case img.state == compiling && img.depth < cl.depth:
		// The capture may be waiting for this call, which one of its host functions has
		// submitted, or for a place that another nested one takes. Who only waits for
		// what is as deep, or deeper, waits in no circle.
		cl.fallBackLocked("the image is being captured for a call that is nested less deeply")
		return true
	}
	img.waiting.push(cl)
	if img.state != compiling {
		img.state, img.depth = compiling, cl.depth
		c.captureLocked(m, img, cl)
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

// imageLocked returns a module's image, new if need be.
func (c *core) imageLocked(m *module, key imageKey) *image {
	img := m.images[key]
	if img == nil {
		c.evictImagesLocked(1, nil)
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

// evictImagesLocked makes room for more images by dropping those that were not used
// for longest, but for one that is to stay. Calls that start from one keep it.
func (c *core) evictImagesLocked(more int, stays *image) {
	for {
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
				if img != stays && c.capturing[img] == nil && (oldest == nil || img.lastUse < oldest.lastUse) {
					owner, oldest = m, img
				}
			}
		}
		if oldest == nil || count+more <= c.maxImages && bytes <= maxImageBytes {
			return
		}
		delete(owner.images, oldest.key)
		c.releaseLocked(oldest.current)
		c.measureLocked(owner)
	}
}

// captureLocked has a template process capture an image, for a call that wants it.
func (c *core) captureLocked(m *module, img *image, wants *call) {
	m.users++ // until it has
	c.capturing[img] = m
	// What it has the host do is nested as deeply as if the call itself had.
	cl := newCall(wants.target, nil)
	cl.target.limits = c.opts.Limits // it is not for this call alone
	cl.target.limits.Memory = img.key.memory
	cl.core, cl.module, cl.captures, cl.values = c, m, img, context.Background()
	cl.depth, cl.parent, cl.budget = wants.depth, wants.parent, wants.budget
	c.wg.Go(func() { c.capture(m, img, cl) }) // exits when the template has; settleLocked kills that
}

// capture gets an image and lets the waiting calls go on.
func (c *core) capture(m *module, img *image, cl *call) {
	began := time.Now()
	taken := false
	defer func() {
		if p := recover(); p != nil {
			c.captureLost(m, img, p)
		} else if !taken {
			c.captureLost(m, img, "a log handler has ended the goroutine")
		}
	}()
	snap, err := c.take(cl)
	taken = true
	c.update(func() {
		m.users--
		delete(c.capturing, img)
		if err == nil {
			c.releaseLocked(img.current)
			img.state, img.current, img.taken = compiled, c.adoptLocked(snap), time.Now()
			img.reason, img.backoff = "", 0
			c.stats.Captured++
			c.measureLocked(m)
			c.evictImagesLocked(0, img) // others have come meanwhile, and now it is known how large it is
		} else if img.current == nil {
			img.refuseLocked(err)
		}
		for img.waiting.len() > 0 {
			c.enqueueLocked(img.waiting.pop(), false)
		}
		c.evictBytesLocked()
	})
	switch {
	case closedAlready(c.quit):
	case err != nil:
		c.log.Warn("no image of the module could be captured", "module", m.source.Name(), "reason", err)
	default:
		c.log.Info("image captured", "module", m.source.Name(), "bytes", snap.meta.Size, "took", time.Since(began))
	}
}

// captureLost breaks the executor over a panic in the goroutine of a capture.
func (c *core) captureLost(m *module, img *image, p any) {
	stack := debug.Stack()
	c.log.Error("executor panicked", "module", m.source.Name(), "panic", p, "stack", string(stack))
	c.update(func() {
		m.users--
		delete(c.capturing, img)
		c.breakLocked(fmt.Errorf("panic in the executor: %v", p))
	})
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
