package wasi

import "math"

// getSizes is args_sizes_get and environ_sizes_get(count *u32, size *u32).
func getSizes(values []string, m memory, p []uint64) errno {
	size := valuesSize(values)
	if size > math.MaxUint32 {
		return errnoOverflow
	}
	sizeAt, ok := m.bytes(uint32(p[1]), 4)
	if !ok {
		return errnoFault
	}
	if e := m.put32(uint32(p[0]), uint32(len(values))); e != errnoSuccess {
		return e
	}
	le.PutUint32(sizeAt, uint32(size))
	return errnoSuccess
}

// getValues is args_get and environ_get(pointers *u32, text *u8): the strings, each
// with a zero byte at its end, and a pointer to each.
func getValues(values []string, m memory, p []uint64) errno {
	at := uint32(p[1])
	pointers, ok := m.bytes(uint32(p[0]), 4*uint64(len(values)))
	text, ok2 := m.bytes(at, valuesSize(values))
	if !ok || !ok2 {
		return errnoFault
	}
	for i, v := range values {
		le.PutUint32(pointers[4*i:], at)
		n := copy(text, v)
		text[n] = 0
		text = text[n+1:]
		at += uint32(n) + 1
	}
	return errnoSuccess
}

// valuesSize is the size of the strings, each with a zero byte at its end.
func valuesSize(values []string) uint64 {
	size := uint64(len(values))
	for _, v := range values {
		size += uint64(len(v))
	}
	return size
}

// randomChunk bounds what a source of random numbers is asked for at a time, in
// bytes: some allocate in proportion.
const randomChunk = 64 << 10

// randomGet is random_get(buf *u8, size u32).
func randomGet(s *System, m memory, p []uint64) errno {
	b, ok := m.bytes(uint32(p[0]), uint64(uint32(p[1])))
	if !ok {
		return errnoFault
	}
	for len(b) > 0 {
		n := min(len(b), randomChunk)
		s.Random(b[:n])
		b = b[n:]
	}
	return errnoSuccess
}
