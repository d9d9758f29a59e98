package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sandpool/sandpool/bench/internal/measure"
	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"
)

// idle is the memory of workers that have each answered calls and wait.
func (s *sandpool) idle(ctx context.Context, j measure.Job, w way) (measure.Cell, error) {
	p, err := s.open(ctx, j, w, j.Workers)
	if err != nil {
		return nil, err
	}
	pids, err := p.workers(ctx, measure.Payload(j.Size), j.Workers)
	if err != nil {
		_ = p.ex.Close() // the first error is the one
		return nil, err
	}
	return memoryCell(func() []int { return pids }, p.ex.Close), nil
}

// workers makes calls until every worker has answered one, and returns their processes.
func (p *pool) workers(ctx context.Context, input []byte, n int) (pids []int, err error) {
	ctx, cancel := context.WithTimeout(ctx, measure.CallTimeout)
	defer cancel()
	seen := make(map[int]bool)
	for len(pids) < n {
		var futures []*executor.Future[[]byte]
		for range 4 * window * n {
			futures = append(futures, executor.Submit(ctx, p.ex, p.function("echo"), input))
		}
		for _, f := range futures {
			if _, err := f.Wait(ctx); err != nil {
				return nil, fmt.Errorf("a call of each of %d workers: %w", n, err)
			}
			if pid := f.Usage().PID; !seen[pid] {
				seen[pid] = true
				pids = append(pids, pid)
			}
		}
	}
	return pids, nil
}

// liveClones is how many clones one worker is given besides the first. It keeps 16.
const liveClones = 12

// live is what each clone adds to a worker that already has one. Calls with other
// arguments have an image of their own of the same module, so that the worker keeps a
// clone for each; what they share is in none of them.
func (s *sandpool) live(ctx context.Context, j measure.Job, w way) (measure.Cell, error) {
	input := measure.Payload(j.Size)
	run := func(ctx context.Context, _ measure.Box) (samples measure.Samples, err error) {
		p, err := s.open(ctx, j, w, 1)
		if err != nil {
			return samples, err
		}
		defer func() { _ = p.ex.Close() }() // it is nil
		var memory [2]int64
		for n := range 1 + liveClones {
			f := p.function("echo")
			f.Grants.Args = []string{fmt.Sprint("clone ", n)}
			future := executor.Submit(ctx, p.ex, f, input)
			if _, err := future.Wait(ctx); err != nil {
				return samples, err
			}
			m, err := processMemory(future.Usage().PID)
			if err != nil {
				return samples, err
			}
			memory[min(n, 1)] = m.Anonymous
		}
		samples.Each = []float64{float64(memory[1]-memory[0]) / liveClones}
		return samples, nil
	}
	_ = ctx
	return cellFuncs{run: run}, nil
}

// scale starts, makes a number of calls or one of each of a number of modules, and
// stops.
func (s *sandpool) scale(_ context.Context, j measure.Job, w way) (measure.Cell, error) {
	input := measure.Payload(j.Size)
	modules, err := s.copies(j)
	if err != nil {
		return nil, err
	}
	step := func(ctx context.Context) (float64, error) {
		began := time.Now()
		p, err := s.open(ctx, j, w, j.Workers)
		if err != nil {
			return 0, err
		}
		defer func() { _ = p.ex.Close() }() // it is nil
		if j.Kind == measure.Calls {
			_, _, err = p.stream(ctx, measure.Box{Time: time.Hour, Calls: j.Count}, input, j.Workers*window)
			return float64(time.Since(began)), err
		}
		for _, m := range modules {
			p.m = m
			output, err := p.call("echo")(ctx, 0, input)
			if err == nil {
				err = measure.Check(output, input)
			}
			if err != nil {
				return 0, err
			}
		}
		return float64(time.Since(began)), nil
	}
	return cellFuncs{run: func(ctx context.Context, b measure.Box) (measure.Samples, error) {
		b.Calls = 1
		samples, err := measure.StepLoop(ctx, b, step)
		samples.Calls = j.Count
		return samples, err
	}}, nil
}

// copies returns modules that differ in a custom section alone.
func (s *sandpool) copies(j measure.Job) (modules []*serialize.Module, err error) {
	if j.Kind != measure.Modules {
		return nil, nil
	}
	for n := range j.Count {
		name := fmt.Sprintf("copy-%03d", n)
		section := append([]byte{0, byte(1 + len(name)), byte(len(name))}, name...)
		m, err := serialize.NewModule(name, append(s.c.Bytes()[:s.c.Size():s.c.Size()], section...))
		if err != nil {
			return nil, err
		}
		modules = append(modules, m)
	}
	return modules, nil
}
