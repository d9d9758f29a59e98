package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bytecodealliance/wasmtime-go/v39"

	"github.com/sandpool/sandpool/bench/internal/cold"
)

// A program is a compiled guest and what it is linked with.
type program struct {
	engine *wasmtime.Engine
	module *wasmtime.Module
	linker *wasmtime.Linker
	epochs bool // its code looks at the epoch
	now    *guest
}

// newProgram compiles a guest. With cache, a directory, it takes what is there.
func newProgram(path, cache string, epochs bool) (*program, error) {
	config := wasmtime.NewConfig()
	config.SetEpochInterruption(epochs)
	p := &program{engine: wasmtime.NewEngineWithConfig(config), epochs: epochs}
	wasm, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if p.module, err = p.compile(wasm, cache); err != nil {
		return nil, err
	}
	p.linker = wasmtime.NewLinker(p.engine)
	if err := p.linker.DefineWasi(); err != nil {
		return nil, err
	}
	return p, p.define()
}

func (p *program) compile(wasm []byte, cache string) (*wasmtime.Module, error) {
	if cache == "" {
		return wasmtime.NewModule(p.engine, wasm)
	}
	sum := sha256.Sum256(fmt.Appendf(wasm[:len(wasm):len(wasm)], " epochs: %v", p.epochs))
	file := filepath.Join(cache, hex.EncodeToString(sum[:8])+".cwasm")
	if m, err := wasmtime.NewModuleDeserializeFile(p.engine, file); err == nil {
		return m, nil
	}
	m, err := wasmtime.NewModule(p.engine, wasm)
	if err != nil {
		return nil, err
	}
	code, err := m.Serialize()
	if err != nil {
		return nil, err
	}
	return m, os.WriteFile(file, code, 0o600)
}

// define gives guests what guest/ABI.md has: of what they may import, what these do.
func (p *program) define() error {
	return errors.Join(
		p.linker.FuncWrap("sandpool_v1", "input_read", func(c *wasmtime.Caller, pointer, offset, length int32) int32 {
			return p.now.inputRead(c, uint32(pointer), uint32(offset), uint32(length))
		}),
		p.linker.FuncWrap("sandpool_v1", "output_write", func(c *wasmtime.Caller, pointer, length int32) {
			p.now.outputWrite(c, uint32(pointer), uint32(length))
		}),
		p.linker.FuncWrap("sandpool_v1", "fail", func(*wasmtime.Caller, int32, int32, int32, int32, int32) {
			p.now.failed = true
		}),
		p.linker.FuncWrap("sandpool_v1", "log", func(*wasmtime.Caller, int32, int32, int32) {}),
		p.linker.FuncWrap("sandpool_v1", "host_call", func(*wasmtime.Caller, int32, int32, int32, int32) int32 { return 1 }),
		p.linker.FuncWrap("sandpool_v1", "host_size", func(*wasmtime.Caller) int32 { return 0 }),
		p.linker.FuncWrap("sandpool_v1", "host_read", func(*wasmtime.Caller, int32, int32, int32) int32 { return 0 }),
		p.linker.FuncWrap("sandpool_v1", "codec_name", func(*wasmtime.Caller, int32, int32, int32) int32 { return 0 }),
	)
}

// A guest is an instance. It is for one goroutine, and of a program's only one is
// called at a time.
type guest struct {
	p             *program
	store         *wasmtime.Store
	memory        *wasmtime.Memory
	callExport    *wasmtime.Func
	input, output []byte
	failed        bool
}

// farEpoch is how many epochs a call has that is not to be ended.
const farEpoch = 1 << 40

func (p *program) instantiate() (*guest, error) {
	g := &guest{p: p, store: wasmtime.NewStore(p.engine)}
	p.now = g
	if p.epochs {
		g.store.SetEpochDeadline(farEpoch)
	}
	g.store.SetWasi(wasmtime.NewWasiConfig())
	instance, err := p.linker.Instantiate(g.store, p.module)
	if err != nil {
		g.close()
		return nil, err
	}
	g.memory = instance.GetExport(g.store, "memory").Memory()
	g.callExport = instance.GetFunc(g.store, "sandpool_v1_call")
	if start := instance.GetFunc(g.store, "_initialize"); start != nil {
		if _, err := start.Call(g.store); err != nil {
			g.close()
			return nil, err
		}
	}
	return g, nil
}

// close frees the instance at once, and not when the collector gets there.
func (g *guest) close() { g.store.Close() }

// call calls a function by its number; the output is the caller's own.
func (g *guest) call(function int, input []byte) ([]byte, error) {
	g.p.now, g.input, g.output, g.failed = g, input, nil, false
	result, err := g.callExport.Call(g.store, int32(function), int32(len(input)), int32(0))
	switch {
	case err != nil:
		return nil, err
	case g.failed || result != int32(0):
		return nil, fmt.Errorf("guest returned %v", result)
	}
	return g.output, nil
}

// view is a piece of the guest's memory, nil if it is out of bounds.
func (g *guest) view(c *wasmtime.Caller, pointer, length uint32) []byte {
	memory := g.memory
	if memory == nil { // while it is instantiated
		return nil
	}
	b := memory.UnsafeData(c)
	if uint64(pointer)+uint64(length) > uint64(len(b)) {
		return nil
	}
	return b[pointer : pointer+length]
}

func (g *guest) inputRead(c *wasmtime.Caller, pointer, offset, length uint32) int32 {
	return int32(copy(g.view(c, pointer, length), g.input[min(int(offset), len(g.input)):]))
}

func (g *guest) outputWrite(c *wasmtime.Caller, pointer, length uint32) {
	g.output = append(g.output, g.view(c, pointer, length)...)
}

func coldCall(_ context.Context, input []byte) ([]byte, func(), error) {
	path, cache, err := cold.Args()
	if err != nil {
		return nil, nil, err
	}
	p, err := newProgram(path, cache, false)
	if err != nil {
		return nil, nil, err
	}
	g, err := p.instantiate()
	if err != nil {
		return nil, nil, err
	}
	output, err := g.call(functionEcho, input)
	return output, nil, err
}
