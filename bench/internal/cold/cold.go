// Package cold is what the programs have in common that are started for each sample of
// the row that does so: one call, a word to whoever waits, and the end.
package cold

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sandpool/sandpool/bench/internal/measure"
)

// Word is what a program prints once its call has come to a good result.
const Word = "ok\n"

// Size is how many bytes the call has in and out.
const Size = 64

// Args are the program's arguments behind its first one: the guest's path, and a
// directory for compiled code.
func Args() (wasm, cache string, err error) {
	if len(os.Args) < 3 {
		return "", "", errors.New("arguments: the module and a directory for compiled code")
	}
	return os.Args[1], os.Args[2], nil
}

// Main makes the call, says so and exits. What call returns besides the output is run
// after that, unless nil.
func Main(call func(ctx context.Context, input []byte) (output []byte, end func(), err error)) {
	input := measure.Payload(Size)
	output, end, err := call(context.Background(), input)
	if err == nil {
		err = measure.Check(output, input)
	}
	if err == nil {
		_, err = os.Stdout.WriteString(Word)
	}
	if end != nil {
		end()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // it is the end of main
	}
	os.Exit(0) //nolint:forbidigo // it is the end of main
}
