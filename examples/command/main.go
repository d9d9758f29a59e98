// Command command runs a program that was compiled to WebAssembly: a text search,
// which sees one directory of the host and can change nothing in it.
//
//	GOOS=wasip1 GOARCH=wasm go build -o grep.wasm ./guest
//	go run . grep.wasm needle /some/directory
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/wasmworker"
)

func main() {
	wasmworker.Main() // a worker process serves here and exits
	if len(os.Args) != 4 {
		log.Fatal("usage: command MODULE TEXT DIRECTORY")
	}
	mod, err := serialize.LoadModule(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	ex, err := executor.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	grep := executor.Command(mod)
	grep.Grants.Dirs = []executor.Dir{{Host: os.Args[3], Guest: "/data"}}
	in := executor.CommandInput{Args: []string{"grep", os.Args[2], "/data"}}
	result, err := executor.Submit(context.Background(), ex, grep, in).Wait(context.Background())
	if err != nil {
		log.Fatal(err) //nolint:gocritic // the workers end with this process
	}
	fmt.Printf("%s%sexit code %d\n", result.Stdout, result.Stderr, result.ExitCode)
}
