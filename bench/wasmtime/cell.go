package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bytecodealliance/wasmtime-go/v39"

	"github.com/sandpool/sandpool/bench/internal/measure"
	"github.com/sandpool/sandpool/internal/benchtest"
)

// The functions of the guest in C, by their numbers.
const (
	functionEcho = iota
	functionWork
	functionSpin
	functionTrap
)

// clones is how many instances the row of memory has.
const clones = 30

// A cell is one side in one row.
type cell struct {
	job     measure.Job
	side    string
	workers []*program // each with an instance that stays
	guests  []*guest
	input   []byte
}

// open makes what the row needs. Each worker has a program of its own, as an instance
// is for one goroutine and a program calls one at a time.
func open(_ context.Context, r measure.Request) (measure.Cell, error) {
	c := &cell{job: *r.Job, side: r.Side, input: measure.Payload(r.Job.Size)}
	path := r.Wasm
	if r.Side == "fresh, Go guest" || r.Side == "Go guest" {
		path = r.Other
	}
	for range max(1, c.job.Workers) {
		p, err := newProgram(path, r.Cache, r.Side == "epoch")
		if err != nil {
			return nil, err
		}
		g, err := p.instantiate()
		if err != nil {
			return nil, err
		}
		c.workers, c.guests = append(c.workers, p), append(c.guests, g)
	}
	return c, nil
}

// Close frees the instances.
func (c *cell) Close() error {
	for _, g := range c.guests {
		g.close()
	}
	return nil
}

// Run implements measure.Cell.
func (c *cell) Run(ctx context.Context, b measure.Box) (measure.Samples, error) {
	switch c.job.Kind {
	case measure.Echo:
		return measure.EchoLoop(ctx, b, c.input, c.input, c.echo)
	case measure.Submit:
		return measure.Parallel(ctx, b, c.job.Workers, c.checkedEcho)
	case measure.Compute:
		want, err := c.job.Task.Answer()
		if err != nil {
			return measure.Samples{}, err
		}
		return measure.EchoLoop(ctx, b, c.job.Task.Input(), want, c.work)
	case measure.Trap, measure.Deadline:
		return measure.StepLoop(ctx, b, c.recover)
	case measure.Stall, measure.StallGC:
		return measure.Working(ctx, c.job, c.work)
	case measure.Overshoot:
		return measure.Pauses(ctx, b, c.job.Kind, measure.Saturate(c.checkedEcho, c.job.Workers))
	case measure.SpeedUp:
		return measure.SpeedUpBy(ctx, b, c.job, func(_ context.Context, worker int, input []byte) ([]byte, error) {
			return c.guests[worker].call(functionWork, input)
		})
	case measure.Live:
		return c.live()
	default:
		return measure.Samples{}, &measure.AbsentError{Why: "not made for this row"}
	}
}

func (c *cell) checkedEcho(_ context.Context, worker int) error {
	output, err := c.guests[worker].call(functionEcho, c.input)
	if err != nil {
		return err
	}
	return measure.Check(output, c.input)
}

// echo makes a call, in a new instance if the side is that.
func (c *cell) echo(_ context.Context, input []byte) ([]byte, error) {
	if c.side != "fresh" && c.side != "fresh, Go guest" {
		return c.guests[0].call(functionEcho, input)
	}
	g, err := c.workers[0].instantiate()
	if err != nil {
		return nil, err
	}
	defer g.close()
	return g.call(functionEcho, input)
}

// work computes; under epochs each call has a deadline, far away, as it would have in
// a program that ends calls.
func (c *cell) work(_ context.Context, input []byte) ([]byte, error) {
	return c.guests[0].call(functionWork, input)
}

// recover has a call trap or be over its time, and makes the instance that the next
// one needs.
func (c *cell) recover(context.Context) (float64, error) {
	due := time.Now().Add(c.job.Limit)
	if err := c.fail(); err != nil {
		return 0, err
	}
	c.guests[0].close()
	g, err := c.workers[0].instantiate()
	if err != nil {
		return 0, err
	}
	c.guests[0] = g
	output, err := g.call(functionEcho, c.input)
	if err != nil {
		return 0, err
	}
	return float64(time.Since(due)), measure.Check(output, c.input)
}

func (c *cell) fail() error {
	function := functionTrap
	if c.job.Kind == measure.Deadline {
		function = functionSpin
		c.guests[0].store.SetEpochDeadline(1)
		defer time.AfterFunc(c.job.Limit, c.workers[0].engine.IncrementEpoch).Stop()
	}
	_, err := c.guests[0].call(function, nil)
	if err == nil {
		return errors.New("the call that has to fail has ended well")
	}
	if _, ok := errors.AsType[*wasmtime.Trap](err); !ok {
		return fmt.Errorf("the call failed in another way than it had to: %w", err)
	}
	return nil
}

// live is what each of many instances takes, once it has answered a call.
func (c *cell) live() (s measure.Samples, err error) {
	before, ok := benchtest.Resident()
	if !ok {
		return s, &measure.AbsentError{Why: "the system does not say what memory a process has"}
	}
	for range clones {
		g, err := c.workers[0].instantiate()
		if err != nil {
			return s, err
		}
		defer g.close()
		if _, err := g.call(functionEcho, c.input); err != nil {
			return s, err
		}
	}
	after, _ := benchtest.Resident()
	s.Each = []float64{float64(after.Sub(before).Per(clones).Rss)}
	return s, nil
}
