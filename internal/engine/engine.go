// Package engine names what host and worker must agree on about the WebAssembly
// engine, without loading the engine into the host.
package engine

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"golang.org/x/sys/cpu"

	"github.com/tetratelabs/wazero/api"
)

// Features are the WebAssembly features that guests may use: version 2 of the
// core specification.
const Features = api.CoreFeaturesV2

// Module is the engine's module path.
const Module = "github.com/tetratelabs/wazero"

// override is set at link time where a worker is built apart for a program
// without module information: a test binary.
var override string

// Version identifies the engine in this program: its module version. Programs
// built without module information, such as test binaries, share the version
// "unknown".
var Version = sync.OnceValue(func() string {
	if override != "" {
		return override
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path != Module {
				continue
			}
			if dep.Replace != nil {
				return dep.Version + " => " + dep.Replace.Path + " " + dep.Replace.Version
			}
			return dep.Version
		}
	}
	return "unknown"
})

// Target identifies what compiled code runs on: system, architecture and every
// CPU feature, since the engine generates code for the CPU it finds.
var Target = sync.OnceValue(func() string {
	return fmt.Sprintf("%s/%s %+v %+v", runtime.GOOS, runtime.GOARCH, cpu.X86, cpu.ARM64)
})
