package main

import "unsafe"

const (
	numberSize = 8
	pageSize   = 64 << 10

	// Inverted, so that the word is in memory only where fill puts it: "LEAKED!!".
	invertedMagic = ^uint64(0x212144454b41454c)
)

// pages returns the size of the linear memory.
func pages() int32

// trap executes unreachable.
func trap()

// inverted is a variable so that no constant is the word itself.
var inverted = invertedMagic

// fill writes the magic word and the number throughout b, whose start is aligned.
func fill(b []byte, number [numberSize]byte) {
	words := unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/8)
	n := *(*uint64)(unsafe.Pointer(&number))
	for i := 0; i+1 < len(words); i += 2 {
		words[i], words[i+1] = ^inverted, n
	}
}

// found counts the magic words in the linear memory, all of it but the first
// page, which is the engine's and the linker's.
func found() int {
	n := 0
	start := uintptr(pageSize)
	words := unsafe.Slice(*(**uint64)(unsafe.Pointer(&start)), (int(pages())-1)*pageSize/8)
	for _, w := range words {
		if ^w == invertedMagic {
			n++
		}
	}
	return n
}
