// Command codecs calls one function with values that travel in different ways: as a
// reducer makes them, and by the codec of an executor, of a function and of one value.
//
//	$ GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o shop.wasm ./guest
//	$ go run . shop.wasm
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/wasmworker"
)

// money is a type of the host's that no codec can encode: its field is its own.
type money struct{ cents int64 }

// order is what the guest is given, in its own types.
type order struct {
	Item  string
	Count int
	Price money
}

// reducers say how money travels: as a number of cents, wherever it is in a value.
func reducers() (*serialize.Reducers, error) {
	return serialize.NewReducers(serialize.Reduce(
		func(m money) (int64, error) { return m.cents, nil },
		func(cents int64) (money, error) {
			if cents < 0 {
				return money{}, errors.New("negative money")
			}
			return money{cents}, nil
		},
	))
}

func main() {
	wasmworker.Main() // a worker process serves here and exits; otherwise this returns at once
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "codecs:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: codecs MODULE")
	}
	mod, err := serialize.LoadModule(args[0])
	if err != nil {
		return err
	}
	money, err := reducers()
	if err != nil {
		return err
	}
	ex, err := executor.New(&executor.Options{JobReducers: money}) // and result reducers, as none are given
	if err != nil {
		return err
	}
	defer ex.Close()
	return sell(ctx, ex, mod)
}

func sell(ctx context.Context, ex *executor.Executor, mod *serialize.Module) error {
	total := executor.Func[[]order, money]{Module: mod, Name: "total"}
	orders := []order{{"rope", 2, money{350}}, {"anchor", 1, money{12_000}}}
	show := func(how string, m money, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", how, err)
		}
		fmt.Printf("%s: %d.%02d\n", how, m.cents/100, m.cents%100)
		return nil
	}

	m, err := executor.Submit(ctx, ex, total, orders).Wait(ctx)
	if err := show("by the executor's codec, cbor", m, err); err != nil {
		return err
	}
	total.Codec = "json" // a Func is a value: this is another way to call the same function
	m, err = executor.Submit(ctx, ex, total, orders).Wait(ctx)
	if err := show("by the function's codec, json", m, err); err != nil {
		return err
	}
	coded := executor.Func[serialize.Coded[[]order], money]{Module: mod, Name: "total"}
	m, err = executor.Submit(ctx, ex, coded, serialize.With("json", orders)).Wait(ctx)
	if err := show("this value by json, its result by cbor", m, err); err != nil {
		return err
	}

	// A result that cannot be put back is that call's error and nobody else's.
	_, err = executor.Submit(ctx, ex, total, []order{{"refund", -1, money{500}}}).Wait(ctx)
	fmt.Println("refused:", err)
	total.Codec = "bson"
	_, err = executor.Submit(ctx, ex, total, orders).Wait(ctx)
	fmt.Println("refused:", err)
	return nil
}
