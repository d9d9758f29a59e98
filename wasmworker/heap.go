package wasmworker

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// collectAfter is how many bytes a worker allocates before it collects garbage.
const collectAfter = 16 << 20

// Asking the runtime what was allocated takes as long as a small call's way through
// the worker, so it is not done after each.
const (
	lookAfter = 1 << 20 // bytes that calls may have allocated
	callCost  = 2 << 10 // what one allocates at most besides input, output and what is noted
)

// A heapWatch collects garbage where no guest code is running: between calls and
// in host functions.
type heapWatch struct {
	sample    []metrics.Sample
	collected uint64 // bytes allocated in all at the last collection
	noted     uint64 // bytes that host functions allocated since collect looked
}

// note adds what a host function is about to allocate, and collects when that
// has become much: a guest may call host functions without end.
func (w *heapWatch) note(n int) {
	if w.noted += uint64(n); w.noted > collectAfter {
		w.collect()
	}
}

// served does now and then what collect does. It is for after a call whose instance was
// kept and whose input, output and log took n bytes.
func (w *heapWatch) served(n uint64) {
	if w.noted += n + callCost; w.noted > lookAfter {
		w.collect()
	}
}

// collect runs a collection if enough was allocated since the last one.
func (w *heapWatch) collect() {
	if total := w.allocated(); total-w.collected > collectAfter {
		w.collected = total
		runtime.GC()
	}
}

// due reports whether collect would run a collection.
func (w *heapWatch) due() bool { return w.allocated()-w.collected > collectAfter }

// release collects and gives free memory back to the system.
func (w *heapWatch) release() {
	w.collected = w.allocated()
	debug.FreeOSMemory()
}

// allocated returns how many bytes were allocated in all, and forgets the notes.
func (w *heapWatch) allocated() uint64 {
	if w.sample == nil {
		w.sample = []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	}
	w.noted = 0
	metrics.Read(w.sample)
	return w.sample[0].Value.Uint64()
}
