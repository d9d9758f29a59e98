// Command hello runs one function of a wasm module in a worker process.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/wasmworker"
)

func main() {
	wasmworker.Main() // a worker process serves here and exits; otherwise this returns at once
	mod, err := serialize.LoadModule("hello.wasm")
	if err != nil {
		log.Fatal(err)
	}
	ex, err := executor.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	count := executor.Func[string, map[string]int]{Module: mod, Name: "count"}
	words, err := executor.Submit(context.Background(), ex, count, "to be or not to be").Wait(context.Background())
	fmt.Println(words, err) // map[be:2 not:1 or:1 to:2] <nil>
}
