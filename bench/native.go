package main

import (
	"context"
	"runtime"

	"github.com/sandpool/sandpool/bench/internal/kernels"
	"github.com/sandpool/sandpool/bench/internal/measure"
)

// native is Go code in this process: what copying costs, and goroutines.
type native struct{}

func (*native) name() string { return "native" }

func (*native) setup(context.Context, *lab) (string, error) { return runtime.Version(), nil }

func (*native) sides(j measure.Job) ([]side, string) {
	labels := map[measure.Kind]string{
		measure.Echo: "memcpy", measure.Compute: "Go", measure.SpeedUp: "goroutines",
		measure.Stall: "no guest", measure.StallGC: "no guest",
	}
	label := labels[j.Kind]
	switch {
	case label == "":
		return nil, "nothing to run it in"
	case j.Busy:
		return nil, "copying waits for nobody"
	}
	return []side{{label, func(context.Context) (measure.Cell, error) {
		if j.Kind.Pauses() {
			return cellFuncs{run: nothing(j)}, nil
		}
		return rig{echo: copyTwice(make([]byte, j.Size)), work: goroutineWork}.cell(j)
	}}}, ""
}

// nothing measures pauses while nothing runs for as long as a guest would: what the
// machine and this program's heap have to do with them.
func nothing(j measure.Job) func(context.Context, measure.Box) (measure.Samples, error) {
	return func(ctx context.Context, _ measure.Box) (measure.Samples, error) {
		return measure.Pauses(ctx, measure.Box{Time: j.Limit}, j.Kind, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 1, nil
		})
	}
}

// copyTwice copies the input to where a guest's memory would be, and from there to
// an output that is the caller's own.
func copyTwice(memory []byte) func(context.Context, int, []byte) ([]byte, error) {
	return func(_ context.Context, _ int, input []byte) ([]byte, error) {
		copy(memory, input)
		output := make([]byte, len(memory))
		copy(output, memory)
		return output, nil
	}
}

func goroutineWork(_ context.Context, _ int, input []byte) ([]byte, error) { return kernels.Run(input) }
