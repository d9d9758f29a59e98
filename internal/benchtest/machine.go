package benchtest

import (
	"os"
	"runtime"
	"strings"

	"github.com/sandpool/sandpool/internal/engine"
)

// A Machine says where figures come from. What its system does not tell is empty.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Wazero string `json:"wazero,omitempty"` // its version, where the program knows it
}

// ThisMachine describes the machine that this process runs on.
func ThisMachine() Machine {
	return Machine{
		CPU: processor(), Cores: runtime.NumCPU(), Kernel: kernel(),
		Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH, Wazero: engine.Version(),
	}
}

func processor() string {
	for line := range strings.Lines(read("/proc/cpuinfo")) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func kernel() string {
	return strings.TrimSpace(read("/proc/sys/kernel/ostype") + " " + read("/proc/sys/kernel/osrelease"))
}

// Load returns the load averages of 1, 5 and 15 minutes, "" where there are none.
func Load() string {
	fields := strings.Fields(read("/proc/loadavg"))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

// read returns a file's contents without its newline at the end.
func read(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(b), "\n")
}
