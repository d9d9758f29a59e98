package wasmworker

import (
	"fmt"
	"os"
	"runtime/metrics"
	"time"
)

// guardEvery is how often a memory guard looks.
const guardEvery = 50 * time.Millisecond

// guardMemory ends the process when its Go runtime holds more than limit bytes.
// Resource limits do not see a heap grow into address space that the runtime had
// reserved before. It works where no guest runs: compiling can be preempted.
//
// Its goroutine lives as long as the process.
func guardMemory(limit uint64) {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	go func() {
		for range time.Tick(guardEvery) {
			metrics.Read(sample)
			if held := sample[0].Value.Uint64() - sample[1].Value.Uint64(); held > limit {
				fmt.Fprintf(os.Stderr, "fatal error: out of memory: %d MiB held, %d allowed\n", held>>20, limit>>20)
				os.Exit(exitFailure)
			}
		}
	}()
}
