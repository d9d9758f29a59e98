// Command auto has the hook as a blank import. Its workers must not get as far
// as main.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"

	_ "github.com/sandpool/sandpool/wasmworker/auto"
)

func main() {
	fmt.Println("main runs")
	if err := run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run() error {
	mod, err := serialize.LoadModule(os.Args[1])
	if err != nil {
		return err
	}
	ex, err := executor.New(&executor.Options{CacheDir: executor.NoCacheDir})
	if err != nil {
		return err
	}
	defer ex.Close()
	echo := executor.Func[[]byte, []byte]{Module: mod, Name: "echo"}
	out, err := executor.Submit(context.Background(), ex, echo, []byte("echoed")).Wait(context.Background())
	if err != nil {
		return err
	}
	fmt.Printf("%s\n", out)
	return nil
}
