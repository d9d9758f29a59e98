package snapshot

import (
	"errors"
	"os"
)

// Pages finds the pages of this process that were written to: the kernel has made
// private pages of them. It is safe for concurrent use. A nil *Pages finds
// nothing out, and whole images are copied.
type Pages struct {
	file *os.File // /proc/self/pagemap
	scan bool     // the kernel has PAGEMAP_SCAN (6.7); otherwise entries are read
	tell bool     // it counts the page faults of this process
	one  bool     // and those of the thread are enough
}

var errPages = errors.New("the kernel does not tell which pages are private")

// OpenPages opens /proc/self/pagemap, which is to be done before a sandbox takes
// /proc away, and tries it. Systems without it give errors.ErrUnsupported.
func OpenPages() (*Pages, error) { return openPages() }

// OneThread says that all memories are used by one goroutine only, the caller's, which is
// locked to its thread. Then only that thread's page faults matter, and it takes half the
// time to ask for them. Nothing may be using the Pages yet.
func (p *Pages) OneThread() {
	if p != nil {
		p.one = true
	}
}

// File returns what a sandbox has to keep open: the calls on it are
// ioctl(PAGEMAP_SCAN) or, on older kernels, pread64.
func (p *Pages) File() *os.File { return p.file }

// Close closes the file. No Memory uses the Pages any more.
func (p *Pages) Close() error { return p.file.Close() }
