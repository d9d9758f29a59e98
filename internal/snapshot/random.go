package snapshot

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
)

// Where the parts of Go's chacha8 generator (internal/chacha8rand.State) are:
// 32 numbers drawn ahead, the seed that they come from, how many of them are
// used, how many there are, and which of a seed's four blocks they are, times 4.
const (
	generatorWords = 32
	generatorSeed  = generatorWords * 8
	generatorUsed  = generatorSeed + 4*8
	generatorLen   = generatorUsed + 4
	generatorBlock = generatorLen + 4
	generatorSize  = generatorBlock + 4
	generatorAlign = 8

	seedSize   = 32
	lastBlock  = 12
	lastLength = generatorWords - 4 // the rest of the last block is the next seed
)

// maxTried bounds what a hostile memory full of near misses costs: 0.2 µs each.
const maxTried = 1 << 16

// findRandom returns the offsets of the generators in a memory: the numbers drawn
// ahead are a function of the seed, so a match is certain. Those that were never
// seeded are not found and need not be.
func findRandom(memory []byte) []uint32 {
	var found []uint32
	tried := 0
	for at := 0; at+generatorSize <= len(memory); at += generatorAlign {
		used := binary.LittleEndian.Uint64(memory[at+generatorUsed:])
		// The high half is the length. Nearly all of a memory ends here.
		if n := used >> 32; n != generatorWords && n != lastLength || uint32(used) > uint32(n) {
			continue
		}
		g := memory[at : at+generatorSize]
		if !plausible(g) {
			continue
		}
		if tried++; tried > maxTried || len(found) == maxRandom {
			break
		}
		if generates(g) {
			found = append(found, uint32(at))
			at += generatorSize - generatorSize%generatorAlign // the loop adds the rest
		}
	}
	return found
}

// Unlike returns those of the generators of a state whose seed is another one in an
// instance of the same module that was initialised with other random numbers. Those
// are the runtime's: they are its variables, and have their place in every instance. A
// guest's own generators are on the heap, or have the seed that the guest gave them, and
// repeat themselves for a reason.
func (s *State) Unlike(in, other *Instance) []uint32 {
	var unlike []uint32
	mine, theirs := in.memory(), other.memory()
	for _, at := range s.Random {
		end := uint64(at) + generatorSize
		if end > uint64(len(mine)) || end > uint64(len(theirs)) {
			continue
		}
		a, b := mine[at:end], theirs[at:end]
		if plausible(b) && generates(b) && !bytes.Equal(a[generatorSeed:generatorUsed], b[generatorSeed:generatorUsed]) {
			unlike = append(unlike, at)
		}
	}
	return unlike
}

// plausible reports whether length and block agree and the seed looks random: no
// half of a word of it is zero. One seed in 500 million does not.
func plausible(g []byte) bool {
	n, block := binary.LittleEndian.Uint32(g[generatorLen:]), binary.LittleEndian.Uint32(g[generatorBlock:])
	if block > lastBlock || block%4 != 0 || (block == lastBlock) != (n == lastLength) {
		return false
	}
	for i := generatorSeed; i < generatorUsed; i += 4 {
		if binary.LittleEndian.Uint32(g[i:]) == 0 {
			return false
		}
	}
	return true
}

// generates reports whether the numbers drawn ahead are what the seed gives.
func generates(g []byte) bool {
	block := binary.LittleEndian.Uint32(g[generatorBlock:])
	// As ChaCha8.MarshalBinary has it: how many numbers are used, then the seed.
	var state [8 + 8 + seedSize]byte
	copy(state[:], "chacha8:")
	binary.BigEndian.PutUint64(state[8:], uint64(block)/4*generatorWords)
	copy(state[16:], g[generatorSeed:generatorUsed])
	var c rand.ChaCha8
	if c.UnmarshalBinary(state[:]) != nil {
		return false
	}
	for i := range lastLength {
		if c.Uint64() != binary.LittleEndian.Uint64(g[8*i:]) {
			return false
		}
	}
	return true
}

// reseed gives a generator a seed and marks what was drawn ahead as used, so that
// the next draw computes a block of the new seed.
func reseed(g, seed []byte) {
	copy(g[generatorSeed:generatorUsed], seed)
	binary.LittleEndian.PutUint32(g[generatorUsed:], generatorWords)
	binary.LittleEndian.PutUint32(g[generatorLen:], generatorWords)
	binary.LittleEndian.PutUint32(g[generatorBlock:], 0)
}
