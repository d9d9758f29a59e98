package wasi

import "math"

// Standard streams' file descriptors.
const (
	stdin  = 0
	stdout = 1
	stderr = 2
)

// Sizes of WASI's structures, in bytes.
const (
	fdstatSize   = 24
	filestatSize = 64
	iovecSize    = 8
)

// characterDevice is the file type of the standard streams. With the rights below a
// C library takes them for a terminal and hands on each line as it ends; a function
// does not exit, so it would never hand on the rest of a larger buffer.
const characterDevice = 2

// unknownType is the file type of pipes, for which WASI has no other.
const unknownType = 0

// fileType returns the type of a standard stream.
func (s *System) fileType(fd uint32) byte {
	if s.Piped || fd == stdin && len(s.Stdin) > 0 {
		return unknownType
	}
	return characterDevice
}

// Flags of a file descriptor.
const (
	flagAppend   = 1 << 0
	flagNonblock = 1 << 2
)

// Rights of a file descriptor.
const (
	rightDatasync    = 1 << 0
	rightRead        = 1 << 1
	rightSetFlags    = 1 << 3
	rightSync        = 1 << 4
	rightWrite       = 1 << 6
	rightFilestatGet = 1 << 21
	rightPoll        = 1 << 27

	rightsOfAll = rightDatasync | rightSetFlags | rightSync | rightFilestatGet | rightPoll
)

// onStream returns a function that answers e if its first parameter is a standard
// stream.
func onStream(e errno) function {
	return func(s *System, _ memory, p []uint64) errno {
		if !s.State.open(uint32(p[0])) {
			return errnoBadf
		}
		return e
	}
}

// noDirectory is fd_prestat_get and fd_prestat_dir_name.
func noDirectory(*System, memory, []uint64) errno { return errnoBadf }

// fdClose is fd_close(fd).
func fdClose(s *System, _ memory, p []uint64) errno {
	fd := uint32(p[0])
	if !s.State.open(fd) {
		return errnoBadf
	}
	s.State.set(stateClosed, fd, true)
	return errnoSuccess
}

// fdRenumber is fd_renumber(from, to). There is nothing to move but a stream onto a
// stream, and they stay where they are.
func fdRenumber(s *System, _ memory, p []uint64) errno {
	from, to := uint32(p[0]), uint32(p[1])
	switch {
	case !s.State.open(from) || !s.State.open(to):
		return errnoBadf
	case from != to:
		return errnoNotsup
	default:
		return errnoSuccess
	}
}

// fdFdstatGet is fd_fdstat_get(fd, stat *fdstat).
func fdFdstatGet(s *System, m memory, p []uint64) errno {
	fd := uint32(p[0])
	if !s.State.open(fd) {
		return errnoBadf
	}
	b, ok := m.bytes(uint32(p[1]), fdstatSize)
	if !ok {
		return errnoFault
	}
	var flags uint16
	if s.State&(stateAppend<<fd) != 0 {
		flags |= flagAppend
	}
	if s.State&(stateNonblock<<fd) != 0 {
		flags |= flagNonblock
	}
	rights := uint64(rightsOfAll | rightWrite)
	if fd == stdin {
		rights = rightsOfAll | rightRead
	}
	clear(b) // the last 8 bytes are the rights that opened files would inherit
	b[0] = s.fileType(fd)
	le.PutUint16(b[2:], flags)
	le.PutUint64(b[8:], rights)
	return errnoSuccess
}

// fdFdstatSetFlags is fd_fdstat_set_flags(fd, flags). The flags are kept for
// fd_fdstat_get, and change nothing else: streams never block for long, and writing
// always appends.
func fdFdstatSetFlags(s *System, _ memory, p []uint64) errno {
	fd, flags := uint32(p[0]), uint32(p[1])
	if !s.State.open(fd) {
		return errnoBadf
	}
	if flags&^(flagAppend|flagNonblock) != 0 {
		return errnoInval // synchronous writing is not offered
	}
	s.State.set(stateAppend, fd, flags&flagAppend != 0)
	s.State.set(stateNonblock, fd, flags&flagNonblock != 0)
	return errnoSuccess
}

// fdFilestatGet is fd_filestat_get(fd, stat *filestat).
func fdFilestatGet(s *System, m memory, p []uint64) errno {
	if !s.State.open(uint32(p[0])) {
		return errnoBadf
	}
	b, ok := m.bytes(uint32(p[1]), filestatSize)
	if !ok {
		return errnoFault
	}
	clear(b) // device, inode, size and times
	b[16] = s.fileType(uint32(p[0]))
	b[24] = 1 // links
	return errnoSuccess
}

// fdRead is fd_read(fd, iovecs *iovec, count u32, read *u32).
func fdRead(s *System, m memory, p []uint64) errno {
	if uint32(p[0]) != stdin || !s.State.open(stdin) {
		return errnoBadf
	}
	vectors, _, e := m.iovecs(uint32(p[1]), uint32(p[2]))
	if e != errnoSuccess {
		return e
	}
	// What has been read is gone, so look before reading.
	read, ok := m.bytes(uint32(p[3]), 4)
	if !ok {
		return errnoFault
	}
	total := uint32(0)
	for ; len(vectors) > 0 && len(s.Stdin) > 0; vectors = vectors[iovecSize:] {
		b, _ := m.iovec(vectors)
		n := copy(b, s.Stdin)
		s.Stdin = s.Stdin[n:]
		total += uint32(n)
	}
	le.PutUint32(read, total)
	return errnoSuccess
}

// fdWrite is fd_write(fd, iovecs *iovec, count u32, written *u32).
func fdWrite(s *System, m memory, p []uint64) errno {
	fd := uint32(p[0])
	if fd == stdin || !s.State.open(fd) {
		return errnoBadf
	}
	vectors, total, e := m.iovecs(uint32(p[1]), uint32(p[2]))
	if e != errnoSuccess {
		return e
	}
	// A guest told EFAULT might write it all again, so look before writing.
	written, ok := m.bytes(uint32(p[3]), 4)
	if !ok {
		return errnoFault
	}
	w := s.Stdout
	if fd == stderr {
		w = s.Stderr
	}
	for ; len(vectors) > 0; vectors = vectors[iovecSize:] {
		b, _ := m.iovec(vectors)
		if len(b) == 0 {
			continue
		}
		if _, err := w.Write(b); err != nil {
			return errnoIO
		}
	}
	le.PutUint32(written, total)
	return errnoSuccess
}

// iovecs checks a list of buffers and returns it with their size in all.
func (m memory) iovecs(pointer, count uint32) (vectors []byte, total uint32, e errno) {
	vectors, ok := m.bytes(pointer, iovecSize*uint64(count))
	if !ok {
		return nil, 0, errnoFault
	}
	var sum uint64 // of at most 2^29 buffers of 2^32 bytes
	for rest := vectors; len(rest) > 0; rest = rest[iovecSize:] {
		b, ok := m.iovec(rest)
		if !ok {
			return nil, 0, errnoFault
		}
		sum += uint64(len(b))
	}
	if sum > math.MaxUint32 {
		return nil, 0, errnoInval
	}
	return vectors, uint32(sum), errnoSuccess
}

// iovec returns the buffer of a list's first entry. One of no bytes may be anywhere.
func (m memory) iovec(vectors []byte) ([]byte, bool) {
	pointer, size := le.Uint32(vectors), le.Uint32(vectors[4:])
	if size == 0 {
		return nil, true
	}
	return m.bytes(pointer, uint64(size))
}
