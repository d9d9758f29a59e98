// Command wazero is a program with wazero by itself, compiled code in wazero's cache
// on disk, that makes one call.
package main

import (
	"context"
	"os"

	"github.com/tetratelabs/wazero"

	"github.com/sandpool/sandpool/bench/internal/cold"
	"github.com/sandpool/sandpool/internal/benchtest"
)

func main() { cold.Main(call) }

func call(ctx context.Context, input []byte) ([]byte, func(), error) {
	path, dir, err := cold.Args()
	if err != nil {
		return nil, nil, err
	}
	wasm, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, nil, err
	}
	raw, err := benchtest.NewRawOf(ctx, wasm, wazero.NewRuntimeConfig().WithCompilationCache(cache))
	if err != nil {
		return nil, nil, err
	}
	instance, err := raw.Bind(ctx)
	if err != nil {
		return nil, nil, err
	}
	output, err := instance.Call(ctx, 0, input)
	return output, nil, err
}
