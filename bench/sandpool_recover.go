package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sandpool/sandpool/bench/internal/measure"
	"github.com/sandpool/sandpool/executor"
)

// recover has a call end as the row says and measures until the next good result.
func (s *sandpool) recover(ctx context.Context, j measure.Job, w way) (measure.Cell, error) {
	p, err := s.open(ctx, j, w, 1)
	if err != nil {
		return nil, err
	}
	input, echo := measure.Payload(j.Size), p.call("echo")
	step := func(ctx context.Context) (float64, error) {
		ctx, cancel := context.WithTimeout(ctx, measure.CallTimeout)
		defer cancel()
		if _, err := echo(ctx, 0, input); err != nil { // the worker is warm
			return 0, err
		}
		if err := p.awaitStandby(ctx); err != nil {
			return 0, err
		}
		due, err := p.doomed(ctx, j)
		if err != nil {
			return 0, err
		}
		output, err := echo(ctx, 0, input)
		if err != nil {
			return 0, err
		}
		return float64(time.Since(due)), measure.Check(output, input)
	}
	run := func(ctx context.Context, b measure.Box) (measure.Samples, error) {
		return measure.StepLoop(ctx, b, step)
	}
	return cellFuncs{run, p.ex.Close}, nil
}

// doomed makes a call that ends as the row says and returns when its end was due.
func (p *pool) doomed(ctx context.Context, j measure.Job) (due time.Time, err error) {
	switch j.Kind {
	case measure.Trap:
		due = time.Now()
		_, err = executor.Submit(ctx, p.ex, p.function("trap"), nil).Wait(ctx)
		return due, expect[*executor.GuestError](err)
	case measure.Deadline:
		f := p.function("spin")
		f.Limits.Wall = j.Limit
		due = time.Now().Add(j.Limit)
		_, err = executor.Submit(ctx, p.ex, f, nil).Wait(ctx)
		return due, expect[*executor.LimitError](err)
	default:
		f := executor.Submit(ctx, p.ex, p.function("spin"), nil)
		pid, err := p.runs(ctx, f)
		if err != nil {
			return due, err
		}
		process, err := os.FindProcess(pid)
		if err != nil {
			return due, err
		}
		due = time.Now()
		if err := process.Kill(); err != nil {
			return due, err
		}
		_, err = f.Wait(ctx)
		return due, expect[*executor.WorkerError](err)
	}
}

// runs waits until a worker computes a call and returns its process.
func (p *pool) runs(ctx context.Context, f *executor.Future[[]byte]) (pid int, err error) {
	t := time.NewTicker(200 * time.Microsecond)
	defer t.Stop()
	for f.State() == executor.Queued {
		select {
		case <-t.C:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	pid = f.Usage().PID
	return pid, awaitBusy(ctx, pid)
}

// awaitStandby waits for the spare worker, if the way has one.
func (p *pool) awaitStandby(ctx context.Context) error {
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	for p.ex.Stats().Standby < p.w.opts.Standby {
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("no standby: %w", context.Cause(ctx))
		}
	}
	return nil
}

// expect returns nil for an error of that type.
func expect[E error](err error) error {
	if err == nil {
		return errNoEnd
	}
	if _, ok := errors.AsType[E](err); !ok {
		return fmt.Errorf("the call failed in another way than it had to: %w", err)
	}
	return nil
}
