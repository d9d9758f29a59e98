package shm

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// A Draft is a Blob in the making: zeros that can be written to, by whoever its
// file is handed to as well, until Seal. It is for one goroutine at a time.
type Draft struct {
	name  string
	limit int64
	file  *os.File // nil where there are no memfds
	data  []byte   // nil when file is not; as long as what was written to it
}

// NewDraft returns a draft of a blob of up to limit bytes. What is not written to
// takes no memory.
func NewDraft(name string, limit int64) (*Draft, error) {
	f, err := Memfd(name)
	if err != nil {
		return nil, fmt.Errorf("share %s: %w", name, err)
	}
	return &Draft{name: name, limit: limit, file: f}, nil
}

// File returns the memfd, or nil on systems that have none.
func (d *Draft) File() *os.File { return d.file }

var _ io.WriterAt = (*Draft)(nil)

// WriteAt implements io.WriterAt, within the draft's limit.
func (d *Draft) WriteAt(p []byte, offset int64) (int, error) {
	end := offset + int64(len(p))
	if offset < 0 || end < offset || end > d.limit {
		return 0, fmt.Errorf("%d bytes at %d do not fit the %d of %s: %w", len(p), offset, d.limit, d.name, io.ErrShortBuffer)
	}
	if d.file != nil {
		return d.file.WriteAt(p, offset)
	}
	d.grow(end)
	return copy(d.data[offset:], p), nil
}

func (d *Draft) grow(size int64) {
	if more := size - int64(len(d.data)); more > 0 {
		d.data = append(d.data, make([]byte, more)...)
	}
}

// Seal makes the first size bytes a Blob, which nobody can change any more. Whoever
// was handed the file must be gone. The draft is used up, also after an error.
func (d *Draft) Seal(size int64) (*Blob, error) {
	if size < 0 || size > d.limit {
		return nil, errors.Join(fmt.Errorf("%d bytes do not fit the %d of %s", size, d.limit, d.name), d.Close())
	}
	b := &Blob{size: size, file: d.file}
	if d.file == nil {
		d.grow(size)
		b.data = d.data[:size:size]
		return b, nil
	}
	if err := seal(d.file, size); err != nil {
		return nil, errors.Join(fmt.Errorf("share %s: %w", d.name, err), d.Close())
	}
	return b, nil
}

// Close drops a draft that is not to be sealed.
func (d *Draft) Close() error {
	d.data = nil
	if d.file == nil {
		return nil
	}
	return d.file.Close()
}
