package executor

import (
	"bytes"
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// A resultKey names a call whose output may be kept; see resultKeyParts.
type resultKey [sha256.Size]byte

// A resultCache keeps the outputs of calls to functions that are declared pure,
// in memory and bounded in bytes: the least recently used goes first. It is
// joblib.Memory's idea without its directory. A nil output is kept as such. It is
// safe for concurrent use, has no goroutine and needs no closing.
type resultCache struct {
	max int64 // bytes, overhead included; constant

	mu      sync.Mutex // guards the fields below; not held while outputs are copied
	entries map[resultKey]*list.Element
	recent  list.List // of *resultEntry, the last used in front
	used    int64     // cost of all entries in bytes
}

// A resultEntry is an output in a resultCache. It is never changed.
type resultEntry struct {
	key    resultKey
	output []byte
}

// resultOverhead is what an entry takes besides its output, in bytes, rounded up:
// the resultEntry (64), its list element (48), a key and a pointer in the map,
// which has room to grow (48 to 96), and what the allocator adds to a small
// output. BenchmarkResultCache_overhead measures it. What the allocator adds to a
// large output, at most a quarter of it, is not counted.
const resultOverhead = 256

// newResultCache returns an empty cache of at most max bytes. One of no bytes, or
// fewer, keeps nothing.
func newResultCache(max int64) *resultCache {
	return &resultCache{max: max, entries: make(map[resultKey]*list.Element)}
}

// get returns a copy of the output kept for the key, which the caller owns.
func (c *resultCache) get(key resultKey) (output []byte, ok bool) {
	e := c.use(key)
	if e == nil {
		return nil, false
	}
	return bytes.Clone(e.output), true
}

// use returns the entry of a key, now the last used, or nil.
func (c *resultCache) use(key resultKey) *resultEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.entries[key]
	if el == nil {
		return nil
	}
	c.recent.MoveToFront(el)
	return entryOf(el)
}

// put keeps a copy of a call's output, in place of what the key had, and drops
// others to make room. An output of more than a quarter of the cache is not kept:
// it would drive out most of the others, and few calls that large repeat before
// they are driven out themselves.
func (c *resultCache) put(key resultKey, output []byte) {
	var e *resultEntry
	if size := int64(len(output)); size <= c.max/4 && size+resultOverhead <= c.max {
		e = &resultEntry{key, bytes.Clone(output)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.entries[key]; el != nil {
		c.removeLocked(el)
	}
	if e == nil {
		return
	}
	for c.used+e.cost() > c.max {
		c.removeLocked(c.recent.Back())
	}
	c.entries[key] = c.recent.PushFront(e)
	c.used += e.cost()
}

// removeLocked drops an entry.
func (c *resultCache) removeLocked(el *list.Element) {
	e := entryOf(el)
	c.recent.Remove(el)
	delete(c.entries, e.key)
	c.used -= e.cost()
}

// size returns how many bytes the cache counts as used, resultOverhead for each
// entry included, and how many entries it has.
func (c *resultCache) size() (used int64, entries int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used, len(c.entries)
}

// cost returns how many bytes an entry counts for.
func (e *resultEntry) cost() int64 { return int64(len(e.output)) + resultOverhead }

// entryOf returns the entry in an element of resultCache.recent.
func entryOf(el *list.Element) *resultEntry {
	e, _ := el.Value.(*resultEntry)
	return e
}

// resultKeyParts are all that the output of a pure function's call may depend on.
// Whatever two calls may differ in without their outputs being interchangeable
// must be here. A nil slice and an empty one are the same; the order of a list
// counts.
type resultKeyParts struct {
	Domain    string            // the trust domain, which results never leave
	Digest    [sha256.Size]byte // the module's
	Function  string
	Codecs    uint32   // of input and output, as guest/ABI.md has them
	Named     []string // those that have names instead of numbers
	Method    string   // the start method
	Memory    int64    // the limit in bytes, which a guest can find out
	Grants    []string
	Seed      uint64 // of the guest's random numbers
	Init      string // the initializer, empty if there is none
	InitCodec uint32
	InitInput []byte
	Env       []string
	World     []string // what the guest finds besides its input
	Flags     uint32   // of the CALL, which say what Input is
	Input     []byte   // encoded
}

// resultKeyVersion begins what is hashed; it changes with the encoding.
const resultKeyVersion = "sandpool result 3"

// key returns the SHA-256 hash of an encoding that no two different parts share:
// the fields in a fixed order, numbers and the digest in fixed sizes, every text
// after its length and every list after its length, each as 64 bits. It costs one
// pass over the input.
func (p resultKeyParts) key() resultKey {
	b := make([]byte, 0, 512)
	b = append(b, resultKeyVersion...)
	b = appendText(b, p.Domain)
	b = append(b, p.Digest[:]...)
	b = appendText(b, p.Function)
	b = binary.LittleEndian.AppendUint32(b, p.Codecs)
	b = appendTexts(b, p.Named)
	b = appendText(b, p.Method)
	b = binary.LittleEndian.AppendUint64(b, uint64(p.Memory))
	b = appendTexts(b, p.Grants)
	b = binary.LittleEndian.AppendUint64(b, p.Seed)
	b = appendText(b, p.Init)
	b = binary.LittleEndian.AppendUint32(b, p.InitCodec)
	b = appendText(b, p.InitInput)
	b = appendTexts(b, p.Env)
	b = appendTexts(b, p.World)
	b = binary.LittleEndian.AppendUint32(b, p.Flags)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(p.Input)))

	h := sha256.New()
	h.Write(b)
	h.Write(p.Input)
	var key resultKey
	h.Sum(key[:0])
	return key
}

// appendText appends the length of s, and s.
func appendText[T string | []byte](b []byte, s T) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}

// appendTexts appends the length of a list, and each of its texts.
func appendTexts(b []byte, texts []string) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(texts)))
	for _, s := range texts {
		b = appendText(b, s)
	}
	return b
}
