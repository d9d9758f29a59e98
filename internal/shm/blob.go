// Package shm holds memory that a host shares with its workers. For now that is
// the [Blob]: immutable bytes handed over without copying them through a pipe, and
// the [Draft] that becomes one.
package shm

import (
	"errors"
	"fmt"
	"os"
)

// A Blob is a piece of immutable bytes that a host hands to its workers: a
// module or a compiled entry. On Linux it is a sealed memfd, whose pages all
// workers share; elsewhere it is a slice that travels through the pipe. A Blob
// is safe for concurrent use until Close.
type Blob struct {
	size int64
	file *os.File // nil where there are no memfds
	data []byte   // nil when file is not
}

// NewBlob copies data into a new Blob. name shows in /proc and in errors only.
func NewBlob(name string, data []byte) (*Blob, error) {
	size := int64(len(data))
	d, err := NewDraft(name, size)
	if err != nil {
		return nil, err
	}
	if _, err := d.WriteAt(data, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("share %s: %w", name, err), d.Close())
	}
	return d.Seal(size)
}

// Size returns the length in bytes.
func (b *Blob) Size() int64 { return b.size }

// File returns the sealed memfd, or nil on systems that have none.
func (b *Blob) File() *os.File { return b.file }

// Bytes returns the contents, reading them back where they live in a memfd. The
// result must not be changed.
func (b *Blob) Bytes() ([]byte, error) {
	if b.file == nil {
		return b.data, nil
	}
	out := make([]byte, b.size)
	if _, err := b.file.ReadAt(out, 0); err != nil {
		return nil, fmt.Errorf("read shared bytes: %w", err)
	}
	return out, nil
}

// Close frees the host's hold on the bytes; workers that have them keep them.
func (b *Blob) Close() error {
	b.data = nil
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}
