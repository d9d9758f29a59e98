// Command extism is a program with Extism's Go SDK, compiled code in wazero's cache
// on disk, that makes one call.
package main

import (
	"context"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"

	"github.com/sandpool/sandpool/bench/internal/cold"
)

func main() { cold.Main(call) }

func call(ctx context.Context, input []byte) ([]byte, func(), error) {
	path, dir, err := cold.Args()
	if err != nil {
		return nil, nil, err
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, nil, err
	}
	plugin, err := extism.NewPlugin(ctx, extism.Manifest{Wasm: []extism.Wasm{extism.WasmFile{Path: path}}}, extism.PluginConfig{
		EnableWasi: true, RuntimeConfig: wazero.NewRuntimeConfig().WithCompilationCache(cache),
	}, nil)
	if err != nil {
		return nil, nil, err
	}
	_, output, err := plugin.CallWithContext(ctx, "echo", input)
	return output, nil, err
}
