package wasmworker

import (
	"context"
	"io"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/snapshot"
	"github.com/sandpool/sandpool/internal/wire"
)

// Names for the tests.
type (
	EntryCache = entryCache
	Failure    = failure
	Ledger     = ledger
)

const (
	CallCost   = callCost
	LookAfter  = lookAfter
	KeepStderr = maxStderr
	MaxMessage = maxMessage
	MaxStack   = maxStack
)

var NewEntryCache = newEntryCache

// A HeapWatch looks after garbage.
type HeapWatch struct{ w heapWatch }

// Served notes a call of n bytes and reports whether that led to a collection.
func (h *HeapWatch) Served(n uint64) bool {
	before := h.w.collected
	h.w.served(n)
	return h.w.collected != before
}

func (c *entryCache) Config() wazero.RuntimeConfig {
	return wazero.NewRuntimeConfig().WithCompilationCache(c.wazero)
}

func (c *entryCache) Offer(key, content []byte) error { return c.offer(key, content) }
func (c *entryCache) End()                            { c.end() }
func (c *entryCache) Insist()                         { c.insist() }
func (c *entryCache) CompiledAnew() bool              { return c.compiledAnew() }
func (c *entryCache) Compiled() (key, entry []byte)   { return c.compiled() }

func (l *ledger) Take(id uint64) bool { return l.take(id) }
func (l *ledger) Spans() int          { return len(l.dropped) }
func (l *ledger) Revoke(from uint64, n uint32) (first uint64, count uint32, err error) {
	return l.revoke(from, n)
}

func (f *failure) Kind() uint32 { return f.kind }
func (f *failure) Cut()         { f.cut() }

// RunFailure instantiates and calls a guest on a runtime like a worker's, and
// returns what its failure is taken for.
func RunFailure(wasm []byte, limit uint64) *Failure {
	s := &server{}
	r := s.newRuntime(nil)
	ctx := context.Background()
	defer r.Close(ctx)
	sl := &slot{Load: wire.Load{Memory: limit, Output: 1 << 20, LogBytes: 1 << 20, Stdout: 1 << 20, Stderr: 1 << 20}, module: new(module)}
	c := s.newCall(1, sl, inMemory([]byte("input")))
	s.call = c
	compiled, f := compileIn(r, wasm)
	if f != nil {
		return f
	}
	inst := s.newInstance(sl)
	c.memory = inst.memory
	ctx = experimental.WithMemoryAllocator(ctx, inst.memory)
	defer inst.close()
	mod, err := r.InstantiateModule(ctx, compiled, instanceConfig)
	if err != nil {
		return c.classify(err)
	}
	inst.module = mod
	_, err = mod.ExportedFunction(guestabi.ExportCall).Call(ctx, 0, 5, 0)
	if err != nil {
		return c.classify(err)
	}
	return c.failed
}

// Classify says what err means, for a call that was refused memory, or was not.
func Classify(err error, refused uint64) *Failure {
	memory := snapshot.NewMemory(snapshot.Config{Limit: 1 << 20})
	if refused > 0 {
		memory.Reallocate(refused)
	}
	c := &call{memory: memory}
	return c.classify(err)
}

// A Lines is a guest's output stream.
type Lines struct{ l *lines }

// NewLines returns a stream whose lines go to a host on these pipes.
func NewLines(requests io.Reader, replies io.Writer, stream uint16, most uint64) Lines {
	s := &server{r: wire.NewReader(requests), out: newReplies(replies)}
	s.call = &call{id: 7, slot: &slot{Load: wire.Load{LogBytes: most, Stdout: most, Stderr: most}}}
	s.call.left = s.call.slot.logLimits()
	return Lines{&lines{s: s, stream: stream}}
}

func (l Lines) Write(p []byte) (int, error) { return l.l.Write(p) }
func (l Lines) Flush()                      { l.l.flush() }
func (l Lines) Tail() string                { return l.l.tail() }
func (l Lines) Abort() *Failure             { return l.l.s.call.abort }

// NewImage takes over an image that a LOAD announces; memory is what came along with
// it, nil for nothing.
func NewImage(l wire.Load, memory []byte) error {
	b := &blobs{release: func() {}}
	if memory != nil {
		b.image = snapshot.NewImage(memory)
	}
	defer b.close()
	_, err := newImage(&slot{Load: l}, b)
	return err
}
