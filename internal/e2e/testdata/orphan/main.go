// Command orphan keeps two workers busy, prints their process numbers and waits
// to be killed.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/wasmworker"
)

func main() {
	wasmworker.Main()
	mod, err := serialize.LoadModule(os.Args[1])
	if err != nil {
		panic(err)
	}
	ex, err := executor.New(&executor.Options{Workers: 3, CacheDir: executor.NoCacheDir})
	if err != nil {
		panic(err)
	}
	spin := executor.Func[[]byte, []byte]{Module: mod, Name: "spin"}
	for range 2 {
		f := executor.Submit(context.Background(), ex, spin, nil)
		for f.State() == executor.Queued {
			time.Sleep(time.Millisecond)
		}
		fmt.Println(f.Usage().PID)
	}
	fmt.Println("ready")
	select {}
}
