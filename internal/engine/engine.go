// Package engine names what host and worker must agree on about the WebAssembly
// engine, without loading the engine into the host.
package engine

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

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

// unknown is the version in programs that were built without module information,
// such as test binaries.
const unknown = "unknown"

// Version identifies the engine in this program: its module version, or "unknown".
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
	return unknown
})

// Identity is what names the engine of a worker program in a cache that outlives
// the program: the version, or where that is unknown the program's own digest. An
// empty path means this program.
func Identity(path string) string {
	if v := Version(); v != unknown {
		return v
	}
	if path == "" {
		path, _ = os.Executable() // an error leaves a path that cannot be opened
	}
	digest, err := digestOf(path)
	if err != nil {
		return unknown + rand.Text() // shared with nobody
	}
	return "program " + digest
}

// settled is how old a file must be for its size and time to tell whether it has changed
// since: a system's clock for files ticks slowly.
const settled = 2 * time.Second

// digested is the file that digestOf has read last: an executor's worker is mostly the
// same as that of the one before.
var digested struct {
	mu     sync.Mutex // guards the fields below
	info   os.FileInfo
	digest string
}

// digestOf returns the SHA-256 of a file in hexadecimal digits, reading it again if it may
// have changed.
func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	digested.mu.Lock()
	last, digest := digested.info, digested.digest
	digested.mu.Unlock()
	if last != nil && os.SameFile(last, info) && last.Size() == info.Size() && last.ModTime().Equal(info.ModTime()) {
		return digest, nil
	}
	recent := time.Since(info.ModTime()) < settled
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	digest = hex.EncodeToString(h.Sum(nil))
	if !recent {
		digested.mu.Lock()
		digested.info, digested.digest = info, digest
		digested.mu.Unlock()
	}
	return digest, nil
}

// Target identifies what compiled code runs on: system, architecture and every
// CPU feature, since the engine generates code for the CPU it finds.
var Target = sync.OnceValue(func() string {
	return fmt.Sprintf("%s/%s %+v %+v", runtime.GOOS, runtime.GOARCH, cpu.X86, cpu.ARM64)
})
