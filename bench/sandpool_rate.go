package main

import (
	"context"
	"iter"
	"time"

	"github.com/sandpool/sandpool/bench/internal/measure"
	"github.com/sandpool/sandpool/executor"
)

// window is how many calls are in flight for each worker where a row wants as many
// as go in, for contenders that queue them.
const window = 64

// submit has one goroutine submit calls and wait for them in order, with a window.
func (s *sandpool) submit(ctx context.Context, j measure.Job, w way) (measure.Cell, error) {
	p, err := s.open(ctx, j, w, j.Workers)
	if err != nil {
		return nil, err
	}
	run := func(ctx context.Context, b measure.Box) (measure.Samples, error) {
		n, took, err := p.stream(ctx, b, measure.Payload(j.Size), j.Workers*window)
		return measure.Rate(n, took), err
	}
	return cellFuncs{run, p.ex.Close}, nil
}

// stream submits echoes until the box is over, waits for all and compares each.
func (p *pool) stream(ctx context.Context, b measure.Box, input []byte, inFlight int) (n int, took time.Duration, err error) {
	f := p.function("echo")
	ring := make([]*executor.Future[[]byte], inFlight)
	began := time.Now()
	settle := func(slot int) error {
		if ring[slot] == nil {
			return nil
		}
		output, err := ring[slot].Wait(ctx)
		ring[slot] = nil
		if err != nil {
			return err
		}
		return measure.Check(output, input)
	}
	for n = 0; n < b.Calls && (n == 0 || time.Since(began) < b.Time); n++ {
		if err := settle(n % inFlight); err != nil {
			return n, time.Since(began), err
		}
		ring[n%inFlight] = executor.Submit(ctx, p.ex, f, input)
	}
	for slot := range ring {
		if err := settle(slot); err != nil {
			return n, time.Since(began), err
		}
	}
	return n, time.Since(began), nil
}

// mapped ranges over Map.
func (s *sandpool) mapped(ctx context.Context, j measure.Job, w way) (measure.Cell, error) {
	p, err := s.open(ctx, j, w, j.Workers)
	if err != nil {
		return nil, err
	}
	run := func(ctx context.Context, b measure.Box) (measure.Samples, error) {
		n, took, err := p.mapRange(ctx, b, measure.Payload(j.Size))
		return measure.Rate(n, took), err
	}
	return cellFuncs{run, p.ex.Close}, nil
}

func (p *pool) mapRange(ctx context.Context, b measure.Box, input []byte) (n int, took time.Duration, err error) {
	began := time.Now()
	for output, err := range executor.Map(ctx, p.ex, p.function("echo"), repeat(b, input)) {
		if err == nil {
			err = measure.Check(output, input)
		}
		if err != nil {
			return n, time.Since(began), err
		}
		n++
	}
	return n, time.Since(began), nil
}

// repeat yields an input until the box is over.
func repeat(b measure.Box, input []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		began := time.Now()
		for n := 0; n < b.Calls && (n == 0 || time.Since(began) < b.Time); n++ {
			if !yield(input) {
				return
			}
		}
	}
}

// overshoot has every worker answer no-ops while this process sleeps.
func (s *sandpool) overshoot(ctx context.Context, j measure.Job, w way) (measure.Cell, error) {
	p, err := s.open(ctx, j, w, j.Workers)
	if err != nil {
		return nil, err
	}
	input := measure.Payload(j.Size)
	run := func(ctx context.Context, b measure.Box) (measure.Samples, error) {
		return measure.Pauses(ctx, b, j.Kind, func(ctx context.Context) (int, error) {
			deadline, _ := ctx.Deadline()
			b := measure.Box{Time: time.Until(deadline), Calls: 1 << 40}
			n, _, err := p.stream(context.WithoutCancel(ctx), b, input, j.Workers*window)
			return n, err
		})
	}
	return cellFuncs{run, p.ex.Close}, nil
}

// speedUp maps the same tasks with one worker and with two, in two executors.
func (s *sandpool) speedUp(ctx context.Context, j measure.Job, w way) (measure.Cell, error) {
	want, err := j.Task.Answer()
	if err != nil {
		return nil, err
	}
	var pools [2]*pool
	end := func() error {
		for _, p := range pools {
			if p != nil {
				_ = p.ex.Close() // it is nil
			}
		}
		return nil
	}
	for i := range pools {
		if pools[i], err = s.open(ctx, j, w, i+1); err != nil {
			_ = end() // the first error is the one
			return nil, err
		}
	}
	input := j.Task.Input()
	run := func(ctx context.Context, b measure.Box) (measure.Samples, error) {
		return measure.SpeedUpOf(ctx, b, func(ctx context.Context, workers, calls int) error {
			p := pools[workers-1]
			all := repeat(measure.Box{Time: measure.CallTimeout, Calls: calls}, input)
			for output, err := range executor.Map(ctx, p.ex, p.function("work"), all) {
				if err == nil {
					err = measure.Check(output, want)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cellFuncs{run, end}, nil
}
