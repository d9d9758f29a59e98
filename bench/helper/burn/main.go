// Command burn keeps a core busy until its standard input ends.
package main

import (
	"io"
	"os"
)

func main() {
	go func() { // the goroutine that burns ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin) // whatever ends it
		os.Exit(0)
	}()
	for { //nolint:staticcheck // to be busy is its purpose
	}
}
