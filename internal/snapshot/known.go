package snapshot

// maxKnown is how many ranges of private pages are remembered. A Go guest's calls write
// to some twenty.
const maxKnown = 64

// known is the private pages that a scan has found. They stay private, and a page
// becomes private by a page fault only. So as long as no thread that writes to the memory has
// had one since, there are no others, and a scan would find these again.
//
// Faults elsewhere, and those that read, only make for a scan in vain.
type known struct {
	faults uint64 // before the scan; 0 when the ranges are not all
	ranges [maxKnown]pageRange
	n      int
}

// A pageRange is pages of an image, from and to in bytes.
type pageRange struct{ from, to int }

// still returns the private pages, if those of the last scan are all there are.
func (k *known) still(faults uint64) ([]pageRange, bool) {
	return k.ranges[:k.n], faults != 0 && faults == k.faults
}

// begin begins a scan.
func (k *known) begin(faults uint64) { k.faults, k.n = faults, 0 }

// add notes what the scan has found. More than there is room for is not remembered.
func (k *known) add(from, to int) {
	if k.n == maxKnown {
		k.faults = 0
		return
	}
	k.ranges[k.n] = pageRange{from, to}
	k.n++
}

// forget is for when private pages have been given back.
func (k *known) forget() { k.faults = 0 }
