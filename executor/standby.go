package executor

import (
	"slices"

	"github.com/sandpool/sandpool/startmethod"
)

// readiesLocked reports whether a task that a worker is given, besides loading its module, makes an
// instance ready for calls to come. It asks the guest for its description once more, as the
// first call in a process would, with a call's limits; the worker then keeps the instance.
func (c *core) readiesLocked(task *call) bool {
	w := task.pinned
	if c.isolates() && (!w.bound || w.domain != task.target.tenant) { // a guest is going to run there
		return false
	}
	if task.start.method != startmethod.Snapshot || task.start.snap == nil {
		return false
	}
	img := task.module.images[c.imageKeyOf(task)]
	return img != nil && !img.unsteady
}

// unsteadyLocked notes that a task could not make an instance ready: no other is to try.
func (c *core) unsteadyLocked(task *call) {
	if img := task.module.images[c.imageKeyOf(task)]; img != nil {
		img.unsteady = true
	}
}

// stockLocked has standbys load the module with the most calls, and make an instance of
// what its calls start as ready, once.
func (c *core) stockLocked() {
	m := c.hottest
	if m == nil || m.state != compiled || c.phase != open {
		return
	}
	for _, w := range slices.Backward(c.fleet.standbys) { // those that begin leave the list
		if _, current := c.snapshots[w.stockImage]; w.stock == m && current {
			continue
		}
		if img := c.stockImageLocked(m); w.stock != m || img != nil {
			c.stockWithLocked(w, m, img)
		}
	}
}

// stockImageLocked returns the image that a standby's instance of a module is to start as, or
// nil. Where tenants are kept apart and there are several, nobody knows whose call it will be.
func (c *core) stockImageLocked(m *module) *image {
	switch {
	case !c.isolates():
		return m.recentImage("")
	case c.tenants == 1:
		return m.recentImage(c.soleTenant)
	default:
		return nil
	}
}

// stockWithLocked gives a standby its task.
func (c *core) stockWithLocked(w *worker, m *module, img *image) {
	task := c.preloadOf(m.source)
	t := &task.target
	t.mode = m.mode
	if c.isolates() && c.tenants == 1 {
		t.tenant = c.soleTenant
	}
	w.stock, w.stockImage = m, nil
	if img != nil {
		w.stockImage = img.current
		t.limits.Memory, t.host, t.seed, t.world = img.key.memory, img.key.host, img.key.seed, img.key.world
		if c.isolates() && !w.bound { // a guest of its is going to run
			w.domain, w.bound, w.boundAt = t.tenant, true, c.nowLocked()
		}
	}
	c.preloadLocked(w, task)
}

// knowTenantLocked notes that a tenant has calls. With the second one, standbys that have
// become the first one's are exchanged for others, that either may have.
func (c *core) knowTenantLocked(name string) {
	switch {
	case c.tenants == 0:
		c.tenants, c.soleTenant = 1, name
	case c.tenants == 1 && name != c.soleTenant:
		c.tenants = 2
		for _, w := range slices.Clone(c.fleet.standbys) {
			if c.takenLocked(w) {
				c.retireLocked(w)
			}
		}
	}
}

// takenLocked reports whether a standby is one tenant's where there are several.
func (c *core) takenLocked(w *worker) bool { return w.bound && c.isolates() && c.tenants > 1 }

// recentImage returns the image that a tenant's calls of the module have used last and that a
// standby may use, or nil.
func (m *module) recentImage(tenant string) (recent *image) {
	for _, img := range m.images {
		fits := img.state == compiled && !img.unsteady && img.key.tenant == tenant && img.key.world.dirs == ""
		if fits && (recent == nil || img.lastUse > recent.lastUse) {
			recent = img
		}
	}
	return recent
}
