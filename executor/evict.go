package executor

import "github.com/sandpool/sandpool/internal/shm"

// evictLocked makes room for one more module by dropping the one that was not
// used for longest, if none of its calls is under way.
func (c *core) evictLocked() {
	if len(c.modules) < maxModules {
		return
	}
	if oldest := c.oldestIdleLocked(nil); oldest != nil {
		c.dropModuleLocked(oldest)
	}
}

// evictBytesLocked drops modules that nobody uses until what is left is within
// [Options.ModuleCache], those first that were not used for longest. The one that was
// used last stays: it would be made again at its next call, and each time.
func (c *core) evictBytesLocked() {
	if most := c.opts.ModuleCache; most == 0 || c.moduleBytes <= most {
		return
	}
	var last *module
	for _, m := range c.modules {
		if last == nil || m.lastUse > last.lastUse {
			last = m
		}
	}
	for c.moduleBytes > c.opts.ModuleCache {
		oldest := c.oldestIdleLocked(last)
		if oldest == nil {
			return
		}
		c.dropModuleLocked(oldest)
	}
}

// oldestIdleLocked returns the module that was not used for longest of those that can be
// dropped, but for one that is to stay.
func (c *core) oldestIdleLocked(stays *module) *module {
	var oldest *module
	for _, m := range c.modules {
		if m != stays && m.users == 0 && m.state != compiling && (oldest == nil || m.lastUse < oldest.lastUse) {
			oldest = m
		}
	}
	return oldest
}

// dropModuleLocked forgets a module that nobody uses. Workers that have it let go of it when
// they next load something.
func (c *core) dropModuleLocked(m *module) {
	c.releaseImagesLocked(m)
	m.close()
	delete(c.modules, moduleKey{m.source.Sum(), m.mode})
	c.moduleBytes -= m.bytes
	m.bytes = 0
	if c.hottest == m {
		c.hottest = nil
	}
}

// leaveModuleLocked ends one use of a module. It may be gone afterwards.
func (c *core) leaveModuleLocked(m *module) {
	if m.users--; m.users == 0 {
		c.evictBytesLocked()
	}
}

// measureLocked takes note of how large a module is by now; it is one of c.modules.
func (c *core) measureLocked(m *module) {
	now := m.sizeLocked()
	c.moduleBytes += now - m.bytes
	m.bytes = now
}

// sizeLocked returns the bytes that are kept of a module. Those of images and of what
// memory starts as count with their holes: workers that read them fill them.
func (m *module) sizeLocked() int64 {
	n := int64(m.source.Size()) + m.private + sizeOf(m.entry)
	if m.program != nil {
		n += sizeOf(m.program.bytes) + sizeOf(m.program.bare) + sizeOf(m.program.base)
	}
	for _, img := range m.images {
		if img.current != nil {
			n += img.current.bytes.Size()
		}
	}
	return n
}

func sizeOf(b *shm.Blob) int64 {
	if b == nil {
		return 0
	}
	return b.Size()
}
