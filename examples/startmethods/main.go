// Command startmethods calls one function under each start method and shows what
// that costs and what a call sees of the ones before.
//
//	$ GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o rules.wasm ./guest
//	$ go run . rules.wasm
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
	"github.com/sandpool/sandpool/wasmworker"
)

// verdict is the guest's.
type verdict struct {
	Matches []int
	Seen    int
	Ticket  uint64
}

func main() {
	wasmworker.Main() // a worker process serves here and exits; otherwise this returns at once
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "startmethods:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: startmethods MODULE")
	}
	mod, err := serialize.LoadModule(args[0])
	if err != nil {
		return err
	}
	ex, err := executor.New(&executor.Options{
		Workers: 1,
		// Runs once in each new instance, and once only before an image is captured.
		Initializer: executor.Initializer{Name: "setup", Input: []string{`\bpanic\b`, `^ERROR`, `took (\d+)ms`}},
		// Leaves in the image what the first call of an instance sets up.
		WarmUp: []executor.WarmUp{{Name: "classify", Input: "warm up: it took 3ms"}},
	})
	if err != nil {
		return err
	}
	defer ex.Close()

	classify := executor.Func[string, verdict]{Module: mod, Name: "classify"}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "asked for\tused\tmatches\tsaw calls\ttickets\tmedian in the guest\twhy not as asked")
	for _, method := range startmethod.Methods() {
		classify.StartMethod = method
		if err := row(ctx, w, ex, classify); err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
	}
	return w.Flush()
}

// row makes a few calls and prints what they have in common.
func row(ctx context.Context, w *tabwriter.Writer, ex *executor.Executor, classify executor.Func[string, verdict]) error {
	calls := 20
	if classify.StartMethod == startmethod.Fresh {
		calls = 2 // compiles the module at each
	}
	tickets := make(map[uint64]bool)
	var took []time.Duration
	var last verdict
	var usage executor.Usage
	for range calls {
		f := executor.Submit(ctx, ex, classify, "ERROR: the request took 30ms")
		v, err := f.Wait(ctx)
		if err != nil {
			return err
		}
		last, usage = v, f.Usage()
		tickets[v.Ticket] = true
		took = append(took, usage.Run)
	}
	slices.Sort(took)
	_, err := fmt.Fprintf(w, "%s\t%s\t%v\t%d\t%d of %d\t%v\t%s\n",
		classify.StartMethod, usage.StartMethod, last.Matches, last.Seen, len(tickets), calls, took[len(took)/2].Round(100*time.Nanosecond), usage.Fallback)
	return err
}
