package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sandpool/sandpool/bench/internal/measure"
)

// newWasmtime is wasmtime-go in a driver of its own module, since it needs cgo.
func newWasmtime() contender {
	return &driver{
		label: "wasmtime", version: "wasmtime-go",
		prepare: buildWasmtime,
		ways: func(j measure.Job) ([]string, string) {
			switch j.Kind {
			case measure.Echo:
				if j.Busy || j.Size > 1<<20 {
					return []string{"reuse"}, ""
				}
				return []string{"reuse", "fresh", "fresh, Go guest"}, ""
			case measure.Submit:
				return []string{"reuse"}, ""
			case measure.Trap:
				return []string{"reuse"}, ""
			case measure.Compute:
				return []string{"reuse", "epoch"}, ""
			case measure.Deadline, measure.Stall, measure.StallGC:
				return []string{"epoch"}, ""
			case measure.Live:
				return []string{"Go guest"}, ""
			case measure.SpeedUp, measure.Overshoot:
				return []string{"reuse"}, ""
			case measure.Map:
				return nil, "it has none; its calls are in the rows of single ones"
			case measure.Crash:
				return nil, "a guest that takes its process down takes the program down"
			case measure.Idle:
				return nil, "it has no workers"
			default:
				return nil, "the peer of these rows is go-plugin"
			}
		},
		cold: func(l *lab) []string { return []string{"-cold", l.guestC, l.dir("cache", "cold-wasmtime")} },
	}
}

// buildWasmtime builds the driver from what make bench-deps has fetched.
func buildWasmtime(ctx context.Context, l *lab) ([]string, error) {
	out := filepath.Join(l.out, "bin", "wasmtime")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, ".")
	cmd.Dir = filepath.Join(l.src, "wasmtime")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOPROXY=off", "CGO_ENABLED=1")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w (%s)", missing("wasmtime-go or a C compiler"), lastLine(text))
	}
	return []string{out}, nil
}

// pythons are where Debian's package of joblib, which has loky, is installed: other
// interpreters do not have it.
var pythons = []string{"/usr/bin/python3", "python3"}

// newPython is one of the two executors in the Python driver.
func newPython(name string) contender {
	return &driver{
		label: name, version: name,
		prepare: func(ctx context.Context, l *lab) ([]string, error) {
			for _, python := range pythons {
				if exec.CommandContext(ctx, python, "-c", "import joblib.externals.loky").Run() == nil {
					return []string{python, filepath.Join(l.src, "driver", "python.py"), name}, nil
				}
			}
			return nil, missing("python3-joblib")
		},
		ways: pythonWays,
		cold: func(*lab) []string { return []string{"-cold"} },
	}
}

func pythonWays(j measure.Job) ([]string, string) {
	switch j.Kind {
	case measure.Map:
		return []string{"map", "map, chunks of 100"}, ""
	case measure.Echo, measure.Submit, measure.SpeedUp, measure.Crash, measure.Deadline, measure.Idle:
		return []string{""}, ""
	case measure.Live:
		return nil, "it runs Python: see the row of idle workers"
	case measure.Compute, measure.Trap:
		return nil, "it runs Python, not this guest"
	case measure.Stall, measure.StallGC, measure.Overshoot:
		return nil, "its host is no Go program"
	default:
		return nil, "the peer of these rows is go-plugin"
	}
}

// newPiscina is piscina's pool of threads in Node.
func newPiscina() contender {
	return &driver{
		label: "piscina", version: "piscina",
		prepare: func(_ context.Context, l *lab) ([]string, error) {
			node, err := exec.LookPath("node")
			if err != nil || !exists(filepath.Join(l.src, "driver", "node", "node_modules", "piscina")) {
				return nil, missing("node or piscina")
			}
			return []string{node, filepath.Join(l.src, "driver", "node", "driver.mjs")}, nil
		},
		ways: func(j measure.Job) ([]string, string) {
			switch j.Kind {
			case measure.Echo, measure.Submit, measure.SpeedUp, measure.Crash, measure.Deadline, measure.Idle:
				return []string{""}, ""
			case measure.Map:
				return nil, "it has none; its calls are in the rows of single ones"
			case measure.Live:
				return nil, "it runs JavaScript: see the row of idle workers"
			case measure.Compute, measure.Trap:
				return nil, "it runs JavaScript, not this guest"
			case measure.Stall, measure.StallGC, measure.Overshoot:
				return nil, "its host is no Go program"
			default:
				return nil, "the peer of these rows is go-plugin"
			}
		},
		cold: func(*lab) []string { return []string{"-cold"} },
	}
}

// lastLine is the last line of a command's output that is not empty.
func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}
