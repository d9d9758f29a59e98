package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sandpool/sandpool/bench/internal/kernels"
	"github.com/sandpool/sandpool/bench/internal/measure"
)

// answer is the right output for a task.
func answer(t kernels.Task) ([]byte, error) { return t.Answer() }

// checked makes a call of each number and compares the output; numbers beyond the
// workers begin again at the first one.
func checked(f func(context.Context, int, []byte) ([]byte, error), workers int, input, want []byte) func(context.Context, int) error {
	return func(ctx context.Context, n int) error {
		output, err := f(ctx, n%workers, input)
		if err != nil {
			return err
		}
		return measure.Check(output, want)
	}
}

// callTimeout bounds a call of those that nothing ends at the end of a box.
const callTimeout = time.Minute

// probeRepeats is how often the task of a row of pauses is repeated to find out how
// often it has to be.
const probeRepeats = 10

// pauseRunner measures pauses while one call runs that computes for the job's limit,
// which differs in how much it gets done. It does not end with the box.
func pauseRunner(j measure.Job, work call) (func(context.Context, measure.Box) (measure.Samples, error), error) {
	return func(ctx context.Context, b measure.Box) (measure.Samples, error) {
		task := j.Task
		task.Repeats = probeRepeats
		began := time.Now()
		if _, err := work(ctx, task.Input()); err != nil {
			return measure.Samples{}, err
		}
		task.Repeats = uint32(max(1, probeRepeats*float64(j.Limit)/float64(max(1, time.Since(began)))))
		want, err := answer(task)
		if err != nil {
			return measure.Samples{}, err
		}
		b.Time = callTimeout
		return measure.Pauses(ctx, b, j.Kind, func(ctx context.Context) (int, error) {
			output, err := work(ctx, task.Input())
			if err != nil {
				return 0, err
			}
			return 1, measure.Check(output, want)
		})
	}, nil
}

// saturate keeps n goroutines making calls until ctx ends.
func saturate(call func(context.Context, int) error, n int) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		var calls atomic.Int64
		_, err := measure.Parallel(ctx, measure.Box{Time: callTimeout, Calls: 1 << 40}, n, func(ctx context.Context, worker int) error {
			err := call(context.WithoutCancel(ctx), worker)
			calls.Add(1)
			return err
		})
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			err = nil
		}
		return int(calls.Load()), err
	}
}

// speedUp measures how much faster two workers do the same tasks than one.
func speedUp(j measure.Job, work func(context.Context, int, []byte) ([]byte, error)) (func(context.Context, measure.Box) (measure.Samples, error), error) {
	want, err := answer(j.Task)
	return func(ctx context.Context, b measure.Box) (measure.Samples, error) {
		return speedUpOf(ctx, b, func(ctx context.Context, workers, calls int) error {
			return measure.Batch(ctx, workers, calls, checked(work, workers, j.Task.Input(), want))
		})
	}, err
}

// minTasks is the least number of tasks of each side of a speed-up: an even one, as
// the last task of an odd one has a worker for itself.
const minTasks = 4

// speedUpOf gives batch half of the box's time with one worker, and then as many calls
// with two.
func speedUpOf(ctx context.Context, b measure.Box, batch func(ctx context.Context, workers, calls int) error) (measure.Samples, error) {
	began := time.Now()
	if err := batch(ctx, 1, 1); err != nil {
		return measure.Samples{}, err
	}
	calls := max(minTasks, int(b.Time/2/max(1, time.Since(began)))&^1)
	var took [3]time.Duration
	for _, workers := range []int{1, 2} {
		began := time.Now()
		if err := batch(ctx, workers, calls); err != nil {
			return measure.Samples{}, fmt.Errorf("%d workers: %w", workers, err)
		}
		took[workers] = time.Since(began)
	}
	return measure.Samples{Each: []float64{float64(took[1]) / float64(took[2])}, Calls: 2 * calls}, nil
}
