package snapshot

import "os"

const (
	keepPages = 1024
	keepGrown = 1 << 20
	dropEvery = 128
)

// restore makes the memory the image again and what lies beyond it zeros, for a
// memory that has been shrunk to the image's size and had size bytes before.
func (m *Memory) restore(size uint64) error {
	if err := m.restoreImage(); err != nil {
		return err
	}
	if err := m.clearGrown(size); err != nil {
		return err
	}
	m.peak, m.refused = m.size, 0
	m.restores++
	return nil
}

func (m *Memory) restoreImage() error {
	data := m.region[:m.image.Size()]
	if m.image.Size() == 0 {
		return nil
	}
	if m.pages == nil || m.image.file == nil {
		copy(data, m.image.data)
		return nil
	}
	limit := keepPages * os.Getpagesize()
	if m.restores%dropEvery == dropEvery-1 {
		limit = 0
	}
	private := 0
	err := m.pages.private(data, m.scan(), func(from, to int) bool {
		if private += to - from; private > limit {
			return false
		}
		copy(data[from:to], m.image.data[from:to])
		return true
	})
	if err != nil {
		return err
	}
	if private > limit {
		return drop(data)
	}
	return nil
}

// clearGrown makes zeros of what the guest has grown into.
func (m *Memory) clearGrown(size uint64) error {
	if size <= m.image.Size() {
		return nil
	}
	if size-m.image.Size() > keepGrown {
		done, err := shut(m.region[m.image.Size():m.opened])
		if err != nil {
			return err
		}
		if done {
			m.opened = m.image.Size()
			return nil
		}
	}
	grown := m.region[m.image.Size():size]
	if m.pages == nil {
		clear(grown)
		return nil
	}
	return m.pages.private(grown, m.scan(), func(from, to int) bool {
		clear(grown[from:to])
		return true
	})
}

// private returns how many bytes of the first size are private pages.
func (m *Memory) private(size uint64) (uint64, error) {
	if m.pages == nil {
		return 0, errPages
	}
	n := 0
	err := m.pages.private(m.region[:size], m.scan(), func(from, to int) bool {
		n += to - from
		return true
	})
	return uint64(n), err
}

func (m *Memory) scan() *scratch {
	if m.scratch == nil {
		m.scratch = newScratch()
	}
	return m.scratch
}
