// Command hotswap replaces a module while calls of it go on, to and fro, and shows
// that none of them fails.
//
//	$ GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o v1.wasm ./guest/v1
//	$ GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o v2.wasm ./guest/v2
//	$ go run . v1.wasm v2.wasm
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/wasmworker"
)

// quote is the guest's.
type quote struct {
	Version string
	Cents   int
}

func main() {
	wasmworker.Main() // a worker process serves here and exits; otherwise this returns at once
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hotswap:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: hotswap MODULE MODULE")
	}
	var versions [2]*serialize.Module
	for i, path := range args {
		mod, err := serialize.LoadModule(path)
		if err != nil {
			return err
		}
		versions[i] = mod
	}
	ex, err := executor.New(&executor.Options{Workers: 2})
	if err != nil {
		return err
	}
	defer ex.Close()

	// The function goes by a handle in the place of a module.
	handle := serialize.NewHandle(versions[0])
	price := executor.Func[int, quote]{Handle: handle, Name: "price"}
	stop := load(ctx, ex, price)
	for i := 1; i <= 10; i++ {
		// The calls go on with the module there is until the other one is ready.
		if err := executor.Swap(ctx, ex, handle, versions[i%2], "price"); err != nil {
			return err
		}
		q, err := executor.Submit(ctx, ex, price, 1000).Wait(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("swap %d: %s asks for %d cents\n", i, q.Version, q.Cents)
	}
	good, failed := stop()
	fmt.Printf("%d calls meanwhile, %d failed\n", good+failed, failed)
	return nil
}

// load calls the function from several goroutines until stop is called.
func load(ctx context.Context, ex *executor.Executor, price executor.Func[int, quote]) (stop func() (good, failed int64)) {
	var g, f atomic.Int64
	var callers sync.WaitGroup
	over := make(chan struct{})
	for range 4 {
		callers.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if _, err := executor.Submit(ctx, ex, price, 1000).Wait(ctx); err != nil {
					f.Add(1)
				} else {
					g.Add(1)
				}
			}
		})
	}
	return func() (good, failed int64) {
		close(over)
		callers.Wait()
		return g.Load(), f.Load()
	}
}
