// Command sandpool is the smallest program with Sandpool: it makes one call. It also
// is the worker of all executors of the benchmark, which has much linked that a
// program of a user's does not.
package main

import (
	"context"
	"os"

	"github.com/sandpool/sandpool/bench/internal/cold"
	"github.com/sandpool/sandpool/bench/internal/workerprofile"
	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/wasmworker"
)

func main() {
	if path := os.Getenv(workerprofile.Variable); path != "" {
		workerprofile.Start(path)
	}
	wasmworker.Main()
	cold.Main(call)
}

func call(ctx context.Context, input []byte) ([]byte, func(), error) {
	wasm, cache, err := cold.Args()
	if err != nil {
		return nil, nil, err
	}
	mod, err := serialize.LoadModule(wasm)
	if err != nil {
		return nil, nil, err
	}
	ex, err := executor.New(&executor.Options{CacheDir: cache})
	if err != nil {
		return nil, nil, err
	}
	echo := executor.Func[[]byte, []byte]{Module: mod, Name: "echo"}
	output, err := executor.Submit(ctx, ex, echo, input).Wait(ctx)
	return output, func() { _ = ex.Close() }, err // it is nil
}
