// The driver of the benchmark for wasmtime-go: a module of its own, outside of the
// workspace, since it needs cgo and 57 MB of wasmtime.
module github.com/sandpool/sandpool/bench/wasmtime

go 1.26.0

require (
	github.com/bytecodealliance/wasmtime-go/v39 v39.0.1
	github.com/sandpool/sandpool v0.0.0
	github.com/sandpool/sandpool/bench v0.0.0
)

require (
	github.com/tetratelabs/wazero v1.12.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace (
	github.com/sandpool/sandpool => ../..
	github.com/sandpool/sandpool/bench => ..
)
