package snapshot

import (
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sandpool/sandpool/internal/shm"
)

// What <linux/fs.h> says of PAGEMAP_SCAN, for the architectures with the generic
// numbering of ioctls. Where another numbering is in use it is refused.
const (
	pagemapScan = 0xc0606610 // _IOWR('f', 16, struct pm_scan_arg)

	pageFile    = 1 << 2
	pagePresent = 1 << 3
	pageSwapped = 1 << 4
	pageZero    = 1 << 5 // the page of zeros that reading alone has mapped
)

// What Documentation/admin-guide/mm/pagemap.rst says of an entry.
const (
	entrySize    = 8
	entryFile    = 1 << 61
	entrySwapped = 1 << 62
	entryPresent = 1 << 63
)

// scanArg is struct pm_scan_arg.
type scanArg struct {
	size, flags                   uint64
	start, end, walkEnd           uint64
	vec, vecLen, maxPages         uint64
	inverted, mask, anyOf, result uint64
}

// pageRegion is struct page_region.
type pageRegion struct{ start, end, _ uint64 }

// scratch is what the scans of one Memory write to, so that they allocate nothing.
type scratch struct {
	arg     scanArg
	regions [128]pageRegion
	entries []byte // where the kernel has no PAGEMAP_SCAN
	usage   unix.Rusage
}

// newScratch is not inlined: the kernel is given addresses in a scratch, which has
// to be on the heap for that, as stacks move.
//
//go:noinline
func newScratch() *scratch { return new(scratch) }

func openPages() (*Pages, error) {
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return nil, err
	}
	for _, p := range []*Pages{{file: f, scan: true}, {file: f}} {
		if p.try() {
			return p, nil
		}
	}
	f.Close()
	return nil, errors.Join(errPages, errors.ErrUnsupported)
}

// try reports whether the pages are told apart as they should be.
func (p *Pages) try() bool {
	const pages = 8
	size := os.Getpagesize()
	blob, err := shm.NewBlob("try", make([]byte, pages*size))
	if err != nil {
		return false
	}
	defer func() { _ = blob.Close() }()
	data, err := unix.Mmap(int(blob.File().Fd()), 0, pages*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Munmap(data) }()
	// Pages 0 and 4 are read, 2 is not touched, the others are written to.
	want := []int{1, 2, 3, 4, 5, 8}
	p.tell = true
	s := newScratch()
	before := p.faults(s)
	for _, page := range []int{0, 4} {
		data[(page+1)*size] = data[page*size] + 1
	}
	for _, page := range []int{3, 6, 7} {
		now := p.faults(s)
		data[page*size] = 1
		p.tell = p.tell && before != 0 && p.faults(s) > now
	}
	var got []int
	err = p.private(data, s, func(from, to int) bool {
		got = append(got, from/size, to/size)
		return true
	})
	return err == nil && slices.Equal(got, want)
}

// private calls found with every range of a region, in bytes, that consists of
// private pages, until it returns false. Pages that are swapped out are among
// them; pages of zeros that were only read may be. The region begins and ends
// with a page.
func (p *Pages) private(region []byte, s *scratch, found func(from, to int) bool) error {
	if len(region) == 0 {
		return nil
	}
	if p.scan {
		return p.ask(region, s, found)
	}
	return p.read(region, s, found)
}

// faults returns how many page faults there have been of those that write to memories, or 0
// when that cannot be told. The kernel counts each that has made a page private, whether the program
// wrote to the page or a system call did (mm_account_fault in its mm/memory.c).
func (p *Pages) faults(s *scratch) uint64 {
	who := unix.RUSAGE_SELF
	if p.one {
		who = unix.RUSAGE_THREAD
	}
	if !p.tell || unix.Getrusage(who, &s.usage) != nil {
		return 0
	}
	return uint64(s.usage.Minflt) + uint64(s.usage.Majflt)
}

// ask is private by PAGEMAP_SCAN.
func (p *Pages) ask(region []byte, s *scratch, found func(from, to int) bool) error {
	base := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(region))))
	end := base + uint64(len(region))
	fd := p.file.Fd()
	defer runtime.KeepAlive(s)
	for start := base; start < end; {
		s.arg = scanArg{
			size: uint64(unsafe.Sizeof(s.arg)), start: start, end: end,
			vec: uint64(uintptr(unsafe.Pointer(&s.regions))), vecLen: uint64(len(s.regions)),
			inverted: pageFile | pageZero, mask: pageFile | pageZero, anyOf: pagePresent | pageSwapped,
		}
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, pagemapScan, uintptr(unsafe.Pointer(&s.arg)))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return os.NewSyscallError("ioctl", errno)
		}
		if s.arg.walkEnd <= start || s.arg.walkEnd > end || n > uintptr(len(s.regions)) {
			return errPages
		}
		for _, r := range s.regions[:n] {
			if r.start < start || r.end < r.start || r.end > end {
				return errPages
			}
			if !found(int(r.start-base), int(r.end-base)) {
				return nil
			}
		}
		start = s.arg.walkEnd
	}
	return nil
}

// read is private by the entries of the pagemap.
func (p *Pages) read(region []byte, s *scratch, found func(from, to int) bool) error {
	size := os.Getpagesize()
	first := int64(uintptr(unsafe.Pointer(unsafe.SliceData(region)))) / int64(size)
	pages := len(region) / size
	from := -1 // of the range that the last page belongs to, in pages
	if s.entries == nil {
		s.entries = make([]byte, 512*entrySize)
	}
	for done := 0; done < pages; {
		b := s.entries[:min(len(s.entries), (pages-done)*entrySize)]
		n, err := unix.Pread(int(p.file.Fd()), b, (first+int64(done))*entrySize)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("pread", err)
		}
		if n < entrySize {
			return errPages
		}
		for b = b[:n-n%entrySize]; len(b) > 0; b = b[entrySize:] {
			e := binary.NativeEndian.Uint64(b)
			private := e&(entryPresent|entrySwapped) != 0 && e&entryFile == 0
			if private && from < 0 {
				from = done
			} else if !private && from >= 0 {
				if !found(from*size, done*size) {
					return nil
				}
				from = -1
			}
			done++
		}
	}
	if from >= 0 {
		found(from*size, pages*size)
	}
	return nil
}
