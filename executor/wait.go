package executor

import (
	"context"
	"iter"
	"strconv"
	"sync"
)

// An Awaitable is something that gets done: a [*Future] of any type. Both methods
// must be safe for concurrent use, and Err must return nil until Done is closed.
type Awaitable interface {
	Done() <-chan struct{}
	Err() error
}

// An Until says what [Wait] waits for.
type Until int

// What [Wait] may wait for. The zero value is AllCompleted.
const (
	AllCompleted   Until = iota // every one is done
	FirstCompleted              // one is done, with or without an error
	FirstFailed                 // one is done with an error, or every one is done
)

// String returns the constant's name.
func (u Until) String() string {
	switch u {
	case AllCompleted:
		return "AllCompleted"
	case FirstCompleted:
		return "FirstCompleted"
	case FirstFailed:
		return "FirstFailed"
	default:
		return "until " + strconv.Itoa(int(u))
	}
}

// Wait waits until fs are done as until says and returns the indices in fs of
// those that are done and of those that are not, each in order. When ctx ends
// first, it returns what is so then, with ctx's cause; the calls go on. An error of
// a future is not an error of Wait. Waiting for nothing returns at once.
func Wait[F Awaitable](ctx context.Context, until Until, fs ...F) (done, pending []int, err error) {
	enough := func(f F) bool {
		return until == FirstCompleted || until == FirstFailed && f.Err() != nil
	}
	// What is done already needs no goroutine.
	met := false
	for _, f := range fs {
		met = met || isDone(f) && enough(f)
	}
	if !met {
		for _, f := range completions(ctx, fs) {
			if !isDone(f) {
				err = context.Cause(ctx)
				break
			}
			if enough(f) {
				break
			}
		}
	}
	for i, f := range fs {
		if isDone(f) {
			done = append(done, i)
		} else {
			pending = append(pending, i)
		}
	}
	if len(pending) == 0 {
		err = nil
	}
	return done, pending, err
}

// AsCompleted yields fs with their indices as they get done, those that are done
// already first; a future that is listed twice is yielded once, with its first
// index. When ctx ends, it yields the ones that are not done, in order; their
// Wait(ctx) returns the cause. The loop may be left at any time.
func AsCompleted[F Awaitable](ctx context.Context, fs ...F) iter.Seq2[int, F] {
	return completions(ctx, fs)
}

// completions is AsCompleted. It has a goroutine for each future that is not done,
// which exits when that is or when the loop is over; the loop waits for them.
func completions[F Awaitable](ctx context.Context, fs []F) iter.Seq2[int, F] {
	return func(yield func(int, F) bool) {
		var waiting []int
		seen := make(map[any]bool, len(fs))
		for i, f := range fs {
			if seen[f] {
				continue
			}
			seen[f] = true
			if !isDone(f) {
				waiting = append(waiting, i)
			} else if !yield(i, f) {
				return
			}
		}
		over := make(chan struct{})
		arrived := make(chan int) // unbuffered: whoever is not received goes by over
		var wg sync.WaitGroup
		defer wg.Wait()
		defer close(over)
		for _, i := range waiting {
			wg.Go(func() {
				select {
				case <-fs[i].Done():
				case <-over:
					return
				}
				select {
				case arrived <- i:
				case <-over:
				}
			})
		}
		yieldArrivals(ctx, fs, waiting, arrived, yield)
	}
}

// yieldArrivals yields each of waiting as it arrives, or all that have not when
// ctx ends.
func yieldArrivals[F Awaitable](ctx context.Context, fs []F, waiting []int, arrived <-chan int, yield func(int, F) bool) {
	left := make(map[int]bool, len(waiting))
	for _, i := range waiting {
		left[i] = true
	}
	for len(left) > 0 {
		select {
		case i := <-arrived:
			delete(left, i)
			if !yield(i, fs[i]) {
				return
			}
		case <-ctx.Done():
			for _, i := range waiting {
				if left[i] && !yield(i, fs[i]) {
					return
				}
			}
			return
		}
	}
}

func isDone[F Awaitable](f F) bool {
	select {
	case <-f.Done():
		return true
	default:
		return false
	}
}
