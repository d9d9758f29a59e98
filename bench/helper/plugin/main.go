// Command plugin is the plugin of the benchmark for hashicorp/go-plugin. With -host
// it is a program that starts it and makes one call.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/sandpool/sandpool/bench/internal/cold"
	"github.com/sandpool/sandpool/bench/internal/plug"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-host" {
		cold.Main(host)
	}
	plug.Serve()
}

func host(ctx context.Context, input []byte) ([]byte, func(), error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	p, err := plug.Start(self)
	if err != nil {
		return nil, nil, fmt.Errorf("start the plugin: %w", err)
	}
	output, err := p.Call(ctx, "Echo", input)
	return output, p.Kill, err
}
