package snapshot

// What tests need to reach every branch.
const (
	MaxMemory     = maxMemory
	MaxTried      = maxTried
	KeepPages     = keepPages
	DropEvery     = dropEvery
	GeneratorSize = generatorSize
)

// FindRandom finds the generators in a memory.
func FindRandom(memory []byte) []uint32 { return findRandom(memory) }

// Reading returns the Pages of a kernel without PAGEMAP_SCAN.
func (p *Pages) Reading() *Pages { return &Pages{file: p.file, tell: p.tell} }

// Scanning reports whether the kernel has PAGEMAP_SCAN.
func (p *Pages) Scanning() bool { return p.scan }

// MaxKnown is how many ranges of private pages are remembered.
const MaxKnown = maxKnown

// StillKnown reports whether a restore would do without a scan.
func (m *Memory) StillKnown() bool {
	_, ok := m.known.still(m.pages.faults(m.scan()))
	return ok
}
