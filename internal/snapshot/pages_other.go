//go:build !linux

package snapshot

import "errors"

// scratch is what scans write to.
type scratch struct{}

func newScratch() *scratch { return new(scratch) }

func openPages() (*Pages, error) { return nil, errors.ErrUnsupported }

func (p *Pages) faults(*scratch) uint64 { return 0 }

func (p *Pages) private([]byte, *scratch, func(from, to int) bool) error {
	return errors.Join(errPages, errors.ErrUnsupported)
}
