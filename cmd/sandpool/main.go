package main

import (
	"context"
	"io"
	"os"

	"github.com/sandpool/sandpool/wasmworker"
)

func main() {
	wasmworker.Main() // workers are this very program
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole tool; it returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := untilSignal(context.Background())
	defer stop()
	s := &streams{in: stdin, out: stdout, err: &lockedWriter{w: stderr}}
	root := newRoot(s)
	root.SetArgs(inputsLast(root, args))
	return s.report(root.ExecuteContext(ctx))
}
