// Command nohook forgets the worker hook.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/sandpool/sandpool/executor"
)

func main() {
	fmt.Println("main runs")
	_, err := executor.New(nil)
	if errors.Is(err, executor.ErrNoWorkerHook) {
		fmt.Println(err)
		os.Exit(3)
	}
	fmt.Println("New returned", err)
}
