package snapshot

import "os"

// Thresholds, measured with
//
//	go test -run xxx -bench 'Restore|Clone' -benchtime 3000x ./internal/snapshot
//
// on linux/amd64 (6.18, 2 shared cores). A write fault costs 1 to 2 µs, copying or
// clearing a private page again 0.15 µs, a scan 0.5 µs: private pages are worth
// keeping even if only one in ten is written to again. Small images are no
// exception: to copy 64 KiB takes 1.4 µs, to scan them and copy one page 0.6 µs.
const (
	// keepPages is how many private pages of the image an instance keeps. They
	// cost each restore 150 µs in all, and the system 4 MiB.
	keepPages = 1024
	// keepGrown is how many bytes that the guest grew into are kept for it to
	// grow into again, if only pages that it wrote to need clearing. It is what
	// the heap of a Go guest grows by: 170 µs if all is written to, 1 ms when
	// given back.
	keepGrown = 4 << 20
	// clearGrown is keepGrown where all of it needs clearing.
	clearGrown = 1 << 20
	// dropEvery is how many restores apart all private pages are given back, so
	// that those which calls no longer write to are forgotten. Where the same
	// 256 pages are written to each time a restore took 52 to 54 µs without that,
	// and 56 to 89 with it.
	dropEvery = 128
	// countFaults is the size from which on page faults are counted before the memory is
	// scanned, which is needless without one. To ask for their number takes 0.2 µs, for the
	// whole process 0.4 to 0.9; a scan takes 1.1 µs for 128 KiB and 3.5 for a Go guest's
	// 4.8 MiB.
	countFaults = 64 << 10
)

// restore makes the memory the image again and what lies beyond it zeros, for a
// memory that has been shrunk to the image's size and had size bytes before.
func (m *Memory) restore(size uint64) error {
	m.restores++
	drop := m.restores%dropEvery == 0
	if err := m.restoreImage(drop); err != nil {
		return err
	}
	if err := m.restoreGrown(size, drop); err != nil {
		return err
	}
	m.peak, m.refused = m.size, 0
	return nil
}

func (m *Memory) restoreImage(all bool) error {
	memory := m.region[:m.image.Size()]
	if len(memory) == 0 {
		return nil
	}
	if m.pages == nil || m.image.file == nil {
		copy(memory, m.image.data)
		return nil
	}
	if all {
		m.known.forget()
		return drop(memory)
	}
	faults := uint64(0)
	if len(memory) >= countFaults {
		faults = m.pages.faults(m.scan()) // before the scan: it must not miss one that comes meanwhile
	}
	if ranges, ok := m.known.still(faults); ok {
		for _, r := range ranges {
			copy(memory[r.from:r.to], m.image.data[r.from:r.to])
		}
		return nil
	}
	return m.restoreScanned(memory, faults)
}

// restoreScanned finds the private pages and makes them the image's again.
func (m *Memory) restoreScanned(memory []byte, faults uint64) error {
	keep := keepPages * os.Getpagesize()
	private := 0
	m.known.begin(faults)
	err := m.pages.private(memory, m.scan(), func(from, to int) bool {
		if private += to - from; private > keep {
			return false
		}
		m.known.add(from, to)
		copy(memory[from:to], m.image.data[from:to])
		return true
	})
	if err != nil {
		m.known.forget()
		return err
	}
	if private > keep {
		m.known.forget()
		return drop(memory)
	}
	return nil
}

// restoreGrown makes zeros of what the guest has grown into.
func (m *Memory) restoreGrown(size uint64, all bool) error {
	base := m.image.Size()
	keep := uint64(keepGrown)
	if m.pages == nil {
		keep = clearGrown
	}
	if size > base+keep || all && m.opened > base {
		done, err := shut(m.region[base:m.opened])
		if err != nil {
			return err
		}
		if done {
			m.opened = base
			return nil
		}
	}
	grown := m.region[base:max(size, base)]
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
