package measure

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Payload returns bytes to send, other ones for each size and the same in each run.
func Payload(size int) []byte {
	r := rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16), byte(size >> 24)})
	b := make([]byte, size)
	_, _ = r.Read(b) // never fails
	return b
}

// Check compares an output with what it has to be.
func Check(output, want []byte) error {
	if bytes.Equal(output, want) {
		return nil
	}
	return fmt.Errorf("an output of %d bytes is not the one of %d bytes that it has to be", len(output), len(want))
}

// EchoLoop makes calls one after another and returns what each took, in nanoseconds.
// Each output is compared with want, with the clock stopped.
func EchoLoop(ctx context.Context, b Box, input, want []byte, call func(context.Context, []byte) ([]byte, error)) (Samples, error) {
	var s Samples
	for began := time.Now(); !b.over(began, s.Calls); s.Calls++ {
		t := time.Now()
		output, err := call(ctx, input)
		took := time.Since(t)
		if err == nil {
			err = Check(output, want)
		}
		if err != nil {
			return s, err
		}
		s.Each = append(s.Each, float64(took))
	}
	return s, nil
}

// StepLoop runs steps that measure themselves, each of which returns one sample.
func StepLoop(ctx context.Context, b Box, step func(context.Context) (float64, error)) (Samples, error) {
	var s Samples
	for began := time.Now(); !b.over(began, s.Calls); s.Calls++ {
		v, err := step(ctx)
		if err != nil {
			return s, err
		}
		s.Each = append(s.Each, v)
	}
	return s, nil
}

// Parallel has n goroutines make calls until the box is over, and returns one sample:
// calls a second.
func Parallel(ctx context.Context, b Box, n int, call func(ctx context.Context, worker int) error) (Samples, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var calls atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for worker := range n {
		wg.Go(func() { // until the box is over or a call fails
			for ctx.Err() == nil && !b.over(began, int(calls.Load())) {
				if err := call(ctx, worker); err != nil {
					cancel(err)
					return
				}
				calls.Add(1)
			}
		})
	}
	wg.Wait()
	return Rate(int(calls.Load()), time.Since(began)), context.Cause(ctx)
}

// Batch has n goroutines make a number of calls between them.
func Batch(ctx context.Context, n, calls int, call func(ctx context.Context, worker int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for worker := range n {
		wg.Go(func() { // until all calls are made or one fails
			for ctx.Err() == nil && next.Add(1) <= int64(calls) {
				if err := call(ctx, worker); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// Rate is one sample of calls a second.
func Rate(calls int, took time.Duration) Samples {
	return Samples{Each: []float64{float64(calls) / took.Seconds()}, Calls: calls}
}
