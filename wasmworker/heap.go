package wasmworker

import (
	"runtime"
	"runtime/metrics"
)

// collectAfter is how many bytes a worker allocates before it collects garbage.
const collectAfter = 16 << 20

// A heapWatch collects garbage between calls, where no guest is running.
type heapWatch struct {
	sample    []metrics.Sample
	collected uint64 // bytes allocated in all at the last collection
}

// collect runs a collection if enough was allocated since the last one.
func (w *heapWatch) collect() {
	if w.sample == nil {
		w.sample = []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	}
	metrics.Read(w.sample)
	if total := w.sample[0].Value.Uint64(); total-w.collected > collectAfter {
		w.collected = total
		runtime.GC()
	}
}
