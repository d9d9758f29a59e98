// Command wasmtime is the driver of the benchmark for wasmtime-go: bench/driver.go has
// the other end. With -cold it compiles a module, or takes what it has compiled before,
// makes one call, says ok and ends.
package main

import (
	"fmt"
	"os"
	"runtime/debug"

	"github.com/sandpool/sandpool/bench/internal/cold"
	"github.com/sandpool/sandpool/bench/internal/measure"
)

const wasmtimePath = "github.com/bytecodealliance/wasmtime-go/v39"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-cold" {
		os.Args = append(os.Args[:1], os.Args[2:]...)
		cold.Main(coldCall)
	}
	if err := measure.Serve(os.Stdin, os.Stdout, map[string]string{"wasmtime-go": version()}, open); err != nil {
		fmt.Fprintln(os.Stderr, "wasmtime:", err)
		os.Exit(1)
	}
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == wasmtimePath {
			return m.Version
		}
	}
	return "unknown"
}
