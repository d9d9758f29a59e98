// Command signed signs a module and loads it as a host does that trusts the key: as
// it is, and with one byte altered.
//
//	$ GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o hello.wasm ../hello/guest
//	$ go run . hello.wasm
package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/wasmworker"
)

func main() {
	wasmworker.Main() // a worker process serves here and exits; otherwise this returns at once
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "signed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: signed MODULE")
	}
	wasm, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}

	// Where the module is built: sandpool keygen and sandpool sign do the same with files.
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	signature := serialize.Sign(private, wasm)

	// Where it is used, with nothing but the public key. Without Signature, Load reads
	// it from MODULE.sig.
	trusted := []ed25519.PublicKey{public}
	trust := serialize.Trust{Keys: trusted, Signature: signature}
	mod, err := trust.New("hello", wasm)
	if err != nil {
		return err
	}
	// TrustedKeys has the executor refuse modules that were loaded in another way.
	ex, err := executor.New(&executor.Options{Workers: 1, TrustedKeys: trusted})
	if err != nil {
		return err
	}
	defer ex.Close()
	out, err := executor.Submit(ctx, ex, executor.Func[string, map[string]int]{Module: mod, Name: "count"}, "to be or not to be").Wait(ctx)
	if err != nil {
		return err
	}
	fmt.Println("signed:  ", out)

	unsigned, err := serialize.NewModule("hello", wasm)
	if err != nil {
		return err
	}
	_, err = executor.Submit(ctx, ex, executor.Func[string, map[string]int]{Module: unsigned, Name: "count"}, "to be or not to be").Wait(ctx)
	fmt.Println("unsigned:", err)

	wasm[len(wasm)/2] ^= 1
	_, err = trust.New("hello", wasm)
	fmt.Println("altered: ", err)
	return nil
}
