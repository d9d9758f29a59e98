//go:build !linux

package snapshot

import "errors"

// fill makes the beginning of a reserved region readable, writable and the same
// as the image. If that fails it releases the region.
func (i *Image) fill(region []byte) error {
	if i.Size() == 0 {
		return nil
	}
	return i.copyTo(region)
}

// drop exists on Linux only, where images are mapped.
func drop([]byte) error { return errors.ErrUnsupported }

// shut returns false: no call gives pages back, zeroes them and keeps the
// reservation on all these systems.
func shut([]byte) (bool, error) { return false, nil }
