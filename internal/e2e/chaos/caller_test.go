package chaos_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sandpool/sandpool/executor"
)

// Why the test ends calls.
var (
	errGone = errors.New("chaos: nobody wants it any more")
	errLate = errors.New("chaos: too late")
)

// A call is one that the test has submitted, and what may become of it.
type call struct {
	kind   string
	future *future
	want   *string // the result; nil if there must be none
	called atomic.Bool
	end    context.CancelCauseFunc // of its context

	cancelled  bool // by the test
	deadline   bool // its context has one
	limited    bool // it runs until its wall limit
	nested     bool // its work is a call of its own
	traps      bool
	idempotent bool
}

// A caller is a goroutine that submits calls, and troubles the executor.
type caller struct {
	*storm
	rng    *rand.Rand
	flying []*call // not settled yet, oldest first
	n      int     // calls submitted
}

func newCaller(s *storm, rng *rand.Rand) *caller { return &caller{storm: s, rng: rng} }

// window is how many calls a caller has under way.
const window = 40

func (c *caller) run() {
	for c.goesOn() {
		c.trouble()
		c.act()
		for len(c.flying) > window {
			c.land()
		}
	}
	for len(c.flying) > 0 && !c.over.Load() {
		c.land()
	}
}

// land settles the oldest call.
func (c *caller) land() {
	cl := c.flying[0]
	c.flying = c.flying[1:]
	c.settle(cl)
	cl.end(nil)
}

// stop ends a call, by its future or by its context.
func (c *caller) stop(cl *call) {
	if !isDone(cl.future) {
		cl.cancelled = true
	}
	if c.rng.IntN(2) == 0 {
		cl.future.Cancel()
	} else {
		cl.end(errGone)
	}
}

func isDone(f *future) bool {
	select {
	case <-f.Done():
		return true
	default:
		return false
	}
}

// chance is true once in n times.
func (c *caller) chance(n int) bool { return c.rng.IntN(n) == 0 }

// act submits a call of a random kind, or several.
func (c *caller) act() {
	switch p := c.rng.IntN(100); {
	case p < 70:
		c.submitEcho("echo")
	case p < 80:
		c.submit(&call{kind: "echo through the host", nested: true}, c.again, c.input(), context.Background())
	case p < 85:
		c.submitDeadline()
	case p < 90:
		c.submitEcho("echo, cancelled")
		c.stop(c.flying[len(c.flying)-1])
	case p < 95:
		c.submit(&call{kind: "trap", traps: true}, c.trap, nil, context.Background())
	case p < 97:
		c.submitEndless()
	case p < 99:
		c.mapInOrder()
	default:
		c.mapUnordered()
	}
}

// input is different for each call.
func (c *caller) input() []byte {
	c.n++
	in := fmt.Appendf(nil, "%p/%d ", c, c.n)
	switch {
	case c.chance(500):
		return append(in, make([]byte, 1<<20)...)
	case c.chance(50):
		return append(in, make([]byte, 40<<10)...)
	default:
		return append(in, bytes.Repeat([]byte{'.'}, c.rng.IntN(100))...)
	}
}

// submit submits a call of the kind; unless its function is endless or traps, its
// result is its input.
func (c *caller) submit(cl *call, fn raw, in []byte, ctx context.Context) { //nolint:revive // the context is the call's, not that of submit
	if fn.Module == c.echo.Module || fn.Module == c.again.Module {
		want := string(in)
		cl.want = &want
	}
	if c.chance(5) {
		fn.Tenant = []string{"red", "green", "blue"}[c.rng.IntN(3)]
	}
	fn.Priority = c.rng.IntN(5) - 2
	cl.idempotent = fn.Idempotent
	ctx, cl.end = context.WithCancelCause(ctx)
	c.submitted.Add(1)
	c.futures.Add(1)
	cl.future = executor.Submit(ctx, c.ex, fn, in)
	if cl.future == nil {
		c.wrong("%s has no future", cl.kind)
		return
	}
	cl.future.OnDone(func(f *future) {
		if !cl.called.CompareAndSwap(false, true) || f != cl.future || !isDone(f) {
			c.wrong("%s has its callback at the wrong time", cl.kind)
		}
		c.callbacks.Add(1)
	})
	c.flying = append(c.flying, cl)
}

func (c *caller) submitEcho(kind string) {
	fn, in := c.echo, c.input()
	switch c.rng.IntN(6) {
	case 0:
		fn.Idempotent = true
		kind += ", idempotent"
	case 1:
		fn.Pure, in = true, strconv.AppendInt(nil, c.rng.Int64N(20), 10)
		kind += ", pure"
	}
	c.submit(&call{kind: kind}, fn, in, context.Background())
}

// submitDeadline submits a call that has little time, or none.
func (c *caller) submitDeadline() {
	c.submitUntil(c.rng.IntN(3), &call{kind: "echo with a deadline"}, c.echo, c.input())
}

// submitUntil submits a call that is ended after so many milliseconds.
func (c *caller) submitUntil(milliseconds int, cl *call, fn raw, in []byte) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), time.Duration(milliseconds)*time.Millisecond, errLate)
	cl.deadline = true
	c.submit(cl, fn, in, ctx)
	end := cl.end
	cl.end = func(cause error) { end(cause); cancel() }
}

// submitEndless submits a call that ends at its wall limit, or when it is stopped.
func (c *caller) submitEndless() {
	fn := c.spin
	if c.chance(2) {
		fn.Limits.Wall = 2 * time.Millisecond
		c.submit(&call{kind: "endless until its limit", limited: true}, fn, nil, context.Background())
		return
	}
	c.submitUntil(20, &call{kind: "endless"}, fn, nil)
	if c.chance(2) {
		c.stop(c.flying[len(c.flying)-1])
	}
}

// inputs are up to 50 inputs, each a number and then what input makes.
func (c *caller) inputs(all *[]string) iter.Seq[[]byte] {
	n := c.rng.IntN(50)
	return func(yield func([]byte) bool) {
		for range n {
			in := c.input()
			*all = append(*all, string(in))
			c.submitted.Add(1)
			if !yield(in) {
				return
			}
		}
	}
}

// mapInOrder runs a Map, and leaves it early now and then.
func (c *caller) mapInOrder() {
	var all []string
	i, leave := 0, c.rng.IntN(100)
	for out, err := range executor.Map(context.Background(), c.ex, c.echo, c.inputs(&all)) {
		c.mapped("Map", all, i, out, err)
		if i++; i == leave || c.over.Load() {
			return
		}
	}
	if i != len(all) {
		c.wrong("Map has %d results for %d inputs", i, len(all))
	}
}

// mapUnordered is mapInOrder with the results as they come.
func (c *caller) mapUnordered() {
	var all []string
	leave := c.rng.IntN(100)
	seen := make(map[int]bool)
	for i, r := range executor.MapUnordered(context.Background(), c.ex, c.echo, c.inputs(&all)) {
		if i < 0 || i >= len(all) || seen[i] {
			c.wrong("MapUnordered yields the result %d of %d once more", i, len(all))
			return
		}
		seen[i] = true
		c.mapped("MapUnordered", all, i, r.Value, r.Err)
		if len(seen) == leave || c.over.Load() {
			return
		}
	}
	if len(seen) != len(all) {
		c.wrong("MapUnordered has %d results for %d inputs", len(seen), len(all))
	}
}

// mapped checks the result of the input i.
func (c *caller) mapped(kind string, all []string, i int, out []byte, err error) {
	c.settled.Add(1)
	if err == nil {
		if string(out) != all[i] {
			c.wrong("%s has the result %.100q for %.100q", kind, out, all[i])
		}
		c.count(c.outcomes, "result of a map")
		return
	}
	we, dead := errors.AsType[*executor.WorkerError](err)
	switch {
	case errors.Is(err, executor.ErrBroken) && dead, errors.Is(err, executor.ErrShutdown), errors.Is(err, executor.ErrQueueFull):
	case dead && c.wasKilled(we.PID):
	default:
		c.wrong("%s has ended a call with %v (%T)", kind, err, err)
	}
	c.count(c.outcomes, "error of a map")
}
