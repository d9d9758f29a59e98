package benchtest

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// Memory is what a process occupies, in bytes. Pages that processes or mappings
// share count in Rss as often as they are mapped, in Pss in parts; Anonymous are those that
// are in no file.
type Memory struct{ Rss, Pss, Anonymous int64 }

// Resident collects garbage, gives free memory back and returns what this process
// then occupies, and whether that is known.
func Resident() (m Memory, ok bool) {
	runtime.GC() // what finalizers let go of is free after the next
	debug.FreeOSMemory()
	return MemoryOf(os.Getpid())
}

// MemoryOf returns what a process occupies, and whether the system tells.
func MemoryOf(pid int) (m Memory, ok bool) {
	for line := range strings.Lines(read(fmt.Sprintf("/proc/%d/smaps_rollup", pid))) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			continue
		}
		switch fields[0] {
		case "Rss:":
			m.Rss = kib << 10
		case "Pss:":
			m.Pss = kib << 10
		case "Anonymous:":
			m.Anonymous = kib << 10
		}
	}
	return m, m.Rss > 0
}

// Sub returns what m has more than before.
func (m Memory) Sub(before Memory) Memory {
	return Memory{m.Rss - before.Rss, m.Pss - before.Pss, m.Anonymous - before.Anonymous}
}

// Per returns what each of n has.
func (m Memory) Per(n int) Memory {
	return Memory{m.Rss / int64(n), m.Pss / int64(n), m.Anonymous / int64(n)}
}
