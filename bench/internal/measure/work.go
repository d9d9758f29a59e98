package measure

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// CallTimeout bounds a call of those that nothing ends at the end of a box.
const CallTimeout = time.Minute

// Checked makes a call of each number and compares the output; numbers beyond the
// workers begin again at the first one.
func Checked(f func(context.Context, int, []byte) ([]byte, error), workers int, input, want []byte) func(context.Context, int) error {
	return func(ctx context.Context, n int) error {
		output, err := f(ctx, n%workers, input)
		if err != nil {
			return err
		}
		return Check(output, want)
	}
}

// probeRepeats is how often the task of a row of pauses is repeated to find out how
// often it has to be.
const probeRepeats = 10

// Working measures the pauses of Stall and StallGC while one call runs that computes
// for the job's limit: how much it gets done differs. It does not end with a box.
func Working(ctx context.Context, j Job, work func(context.Context, []byte) ([]byte, error)) (Samples, error) {
	task := j.Task
	task.Repeats = probeRepeats
	began := time.Now()
	if _, err := work(ctx, task.Input()); err != nil {
		return Samples{}, err
	}
	task.Repeats = uint32(max(1, probeRepeats*float64(j.Limit)/float64(max(1, time.Since(began)))))
	want, err := task.Answer()
	if err != nil {
		return Samples{}, err
	}
	return Pauses(ctx, Box{Time: CallTimeout}, j.Kind, func(ctx context.Context) (int, error) {
		output, err := work(ctx, task.Input())
		if err != nil {
			return 0, err
		}
		return 1, Check(output, want)
	})
}

// Saturate keeps n goroutines making calls until ctx ends.
func Saturate(call func(context.Context, int) error, n int) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		var calls atomic.Int64
		_, err := Parallel(ctx, Box{Time: CallTimeout, Calls: 1 << 40}, n, func(ctx context.Context, worker int) error {
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

// SpeedUpBy is SpeedUp with a goroutine for each worker.
func SpeedUpBy(ctx context.Context, b Box, j Job, work func(context.Context, int, []byte) ([]byte, error)) (Samples, error) {
	want, err := j.Task.Answer()
	if err != nil {
		return Samples{}, err
	}
	return SpeedUpOf(ctx, b, func(ctx context.Context, workers, calls int) error {
		return Batch(ctx, workers, calls, Checked(work, workers, j.Task.Input(), want))
	})
}

// minTasks is the least number of tasks of each side of a speed-up: an even one, as
// the last task of an odd one has a worker for itself.
const minTasks = 4

// SpeedUpOf measures how much faster two workers make the same calls than one: batch has
// half of the box's time with one worker, and then as many calls with two.
func SpeedUpOf(ctx context.Context, b Box, batch func(ctx context.Context, workers, calls int) error) (Samples, error) {
	began := time.Now()
	if err := batch(ctx, 1, 1); err != nil {
		return Samples{}, err
	}
	calls := max(minTasks, int(b.Time/2/max(1, time.Since(began)))&^1)
	var took [3]time.Duration
	for _, workers := range []int{1, 2} {
		began := time.Now()
		if err := batch(ctx, workers, calls); err != nil {
			return Samples{}, fmt.Errorf("%d workers: %w", workers, err)
		}
		took[workers] = time.Since(began)
	}
	return Samples{Each: []float64{float64(took[1]) / float64(took[2])}, Calls: 2 * calls}, nil
}
