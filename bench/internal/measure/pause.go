package measure

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// tick is the period of the ticker and the length of the sleep that pauses are
// measured by.
const tick = time.Millisecond

// gcEvery is the time from one garbage collection to the next one.
const gcEvery = 50 * time.Millisecond

// Pauses runs load and measures, while it runs, what the kind says of this process:
// Stall, StallGC or Overshoot. Load ends by itself, or with its context at the end of
// the box. It returns how many calls it has made.
//
// With a Stall there are garbage collections as well, as any service has them: it is
// they that everything waits for when a guest cannot be made to wait.
func Pauses(ctx context.Context, b Box, kind Kind, load func(context.Context) (calls int, err error)) (Samples, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var ticks, collections, sleeps []float64
	var wg sync.WaitGroup
	begin := func(into *[]float64, run func(context.Context, chan<- struct{}) []float64) {
		// It is under way when the load begins, which may keep everything else from running.
		ready := make(chan struct{})
		wg.Go(func() { *into = run(ctx, ready) }) // until ctx ends
		<-ready
	}
	if kind == Overshoot {
		begin(&sleeps, sleeper)
	} else {
		begin(&ticks, ticker)
		begin(&collections, collector)
	}
	loadCtx, stop := context.WithTimeout(ctx, b.Time)
	defer stop()
	calls, err := load(loadCtx)
	cancel()
	wg.Wait()
	each := map[Kind][]float64{Stall: ticks, StallGC: collections, Overshoot: sleeps}[kind]
	return Samples{Each: each, Calls: calls}, err
}

// ticker returns how much later than a period each tick came after the one before.
func ticker(ctx context.Context, measuring chan<- struct{}) (late []float64) {
	t := time.NewTicker(tick)
	defer t.Stop()
	last := time.Now()
	close(measuring)
	for ctx.Err() == nil {
		<-t.C
		now := time.Now()
		late = append(late, float64(max(0, now.Sub(last)-tick)))
		last = now
	}
	return late
}

func collector(ctx context.Context, measuring chan<- struct{}) (took []float64) {
	close(measuring)
	t := time.NewTicker(gcEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return took
		}
		began := time.Now()
		runtime.GC()
		took = append(took, float64(time.Since(began)))
	}
}

func sleeper(ctx context.Context, measuring chan<- struct{}) (over []float64) {
	close(measuring)
	t := time.NewTimer(tick)
	defer t.Stop()
	for ctx.Err() == nil {
		began := time.Now()
		t.Reset(tick)
		<-t.C
		over = append(over, float64(time.Since(began)-tick))
	}
	return over
}
