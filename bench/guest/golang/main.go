// Command golang is the benchmark's guest in Go: guest c by the SDK.
package main

import (
	"github.com/sandpool/sandpool/bench/internal/kernels"
	"github.com/sandpool/sandpool/guest"
)

func init() {
	guest.Register("echo", func(input []byte) ([]byte, error) { return input, nil })
	guest.Register("work", kernels.Run)
}

func main() {}
