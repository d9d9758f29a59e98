package snapshot

import (
	"errors"
	"fmt"
	"os"

	"github.com/sandpool/sandpool/internal/shm"
)

// wasmPage is the unit of linear memory, in bytes.
const wasmPage = 64 << 10

// maxMemory is the largest linear memory an instance can have: with 65 536
// pages the engine's size arithmetic overflows.
const maxMemory = 1<<32 - wasmPage

// An Image is what a linear memory starts as. It is immutable and safe for
// concurrent use until Close.
type Image struct {
	data    []byte   // all of it, for reading only
	file    *os.File // nil: data is a slice, and memories start as copies of it
	release func()
}

// NewImage returns an image whose memories start as copies of data, for systems
// without memfds and for tests. The slice is kept: it must not change, and its
// length is a multiple of 64 KiB.
func NewImage(data []byte) *Image {
	return &Image{data: data, release: func() {}}
}

// MapImage makes an image of a sealed memfd of size bytes, a multiple of 64 KiB,
// and takes the file over: it is closed by Close, or at once if MapImage fails.
// It refuses a file that is not sealed against all changes or has another size,
// as memories made over it could fault or change later. It exists on Linux only.
func MapImage(f *os.File, size uint64) (*Image, error) {
	i, err := mapImage(f, size)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return i, nil
}

func mapImage(f *os.File, size uint64) (*Image, error) {
	if size%wasmPage != 0 || size > maxMemory {
		return nil, fmt.Errorf("an image of %d bytes", size)
	}
	data, release, err := shm.View(f, size)
	if err != nil {
		return nil, err
	}
	return &Image{data: data, file: f, release: release}, nil
}

// Size returns the length in bytes.
func (i *Image) Size() uint64 {
	if i == nil {
		return 0
	}
	return uint64(len(i.data))
}

// Close lets the image go. The last Memory over it has been freed before.
func (i *Image) Close() error {
	if i.data == nil && i.file == nil {
		return nil
	}
	i.release()
	i.data = nil
	if i.file == nil {
		return nil
	}
	f := i.file
	i.file = nil
	return f.Close()
}

// copyTo opens the beginning of a reserved region and copies the image there. If
// that fails it releases the region.
func (i *Image) copyTo(region []byte) error {
	if err := open(region, 0, i.Size()); err != nil {
		release(region)
		return err
	}
	copy(region, i.data)
	return nil
}
