package main

import (
	"context"

	"github.com/sandpool/sandpool/bench/internal/measure"
)

// A contender is something that runs functions.
type contender interface {
	// name is how results call it.
	name() string
	// setup looks for what it needs and returns its version. An error is why it is
	// missing on this machine, a notice in the results.
	setup(ctx context.Context, l *lab) (version string, err error)
	// sides are the ways in which it takes part in a row; if there are none, why says so.
	sides(j measure.Job) (s []side, why string)
}

// A side is one way to use a contender.
type side struct {
	label string // behind the contender's name; empty for the obvious way
	open  func(ctx context.Context) (measure.Cell, error)
}

// sidesOf returns a side for each way of a contender.
func sidesOf[W any](j measure.Job, ways []W, label func(W) string, open func(context.Context, measure.Job, W) (measure.Cell, error)) []side {
	sides := make([]side, len(ways))
	for i, w := range ways {
		sides[i] = side{label(w), func(ctx context.Context) (measure.Cell, error) { return open(ctx, j, w) }}
	}
	return sides
}

// contenders are all there are, the floors first.
func contenders() []contender {
	return []contender{
		new(native), new(floor), new(sandpool), new(rawWazero), new(extismSDK), new(goPlugin), new(processes),
		newWasmtime(), newPython("loky"), newPython("concurrent.futures"), newPiscina(),
	}
}

// A cellFuncs is a cell made of functions. A nil close has nothing to release.
type cellFuncs struct {
	run   func(ctx context.Context, b measure.Box) (measure.Samples, error)
	close func() error
}

// Run implements measure.Cell.
func (c cellFuncs) Run(ctx context.Context, b measure.Box) (measure.Samples, error) {
	return c.run(ctx, b)
}

// Close implements measure.Cell.
func (c cellFuncs) Close() error {
	if c.close == nil {
		return nil
	}
	return c.close()
}

// A call makes one call.
type call = func(ctx context.Context, input []byte) ([]byte, error)

// A rig is what most rows need of a contender that this program calls: functions
// which each of its workers has, or which the contender gives to workers itself.
type rig struct {
	echo, work func(ctx context.Context, worker int, input []byte) ([]byte, error)
	flight     int // calls in flight for each worker where a row wants as many as go in; 0 means 1
	close      func() error
}

// cell is what a rig does for the kinds that need nothing else. It owns the rig, also
// when there is an error.
func (r rig) cell(j measure.Job) (measure.Cell, error) {
	run, err := r.runner(j)
	if err != nil {
		_ = r.end() // the first error is the one
		return nil, err
	}
	return cellFuncs{run, r.end}, nil
}

func (r rig) end() error {
	if r.close == nil {
		return nil
	}
	return r.close()
}

func (r rig) runner(j measure.Job) (func(context.Context, measure.Box) (measure.Samples, error), error) {
	input := measure.Payload(j.Size)
	switch j.Kind {
	case measure.Echo:
		return func(ctx context.Context, b measure.Box) (measure.Samples, error) {
			return measure.EchoLoop(ctx, b, input, input, r.first(r.echo))
		}, nil
	case measure.Submit:
		return func(ctx context.Context, b measure.Box) (measure.Samples, error) {
			return measure.Parallel(ctx, b, j.Workers*max(1, r.flight), measure.Checked(r.echo, j.Workers, input, input))
		}, nil
	case measure.Compute:
		want, err := j.Task.Answer()
		return func(ctx context.Context, b measure.Box) (measure.Samples, error) {
			return measure.EchoLoop(ctx, b, j.Task.Input(), want, r.first(r.work))
		}, err
	case measure.Stall, measure.StallGC:
		return func(ctx context.Context, _ measure.Box) (measure.Samples, error) {
			return measure.Working(ctx, j, r.first(r.work))
		}, nil
	case measure.Overshoot:
		load := measure.Saturate(measure.Checked(r.echo, j.Workers, input, input), j.Workers*max(1, r.flight))
		return func(ctx context.Context, b measure.Box) (measure.Samples, error) {
			return measure.Pauses(ctx, b, j.Kind, load)
		}, nil
	case measure.SpeedUp:
		return func(ctx context.Context, b measure.Box) (measure.Samples, error) {
			return measure.SpeedUpBy(ctx, b, j, r.work)
		}, nil
	default:
		return nil, &measure.AbsentError{Why: "not made for this row"}
	}
}

func (r rig) first(f func(context.Context, int, []byte) ([]byte, error)) call {
	return func(ctx context.Context, input []byte) ([]byte, error) { return f(ctx, 0, input) }
}
