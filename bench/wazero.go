package main

import (
	"context"
	"os"
	"time"

	"github.com/tetratelabs/wazero"
	wazerosys "github.com/tetratelabs/wazero/sys"

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

// rawWazero is wazero by itself in this process, as benchtest has it.
type rawWazero struct {
	l      *lab
	c, gow []byte
	cache  wazero.CompilationCache // so that no row waits for a compilation that another has had
}

// A wazeroWay is a side: which guest, with or without WithCloseOnContextDone, and
// whether each call has a new instance.
type wazeroWay struct {
	label                string
	golang, ended, fresh bool
}

var (
	wazeroReuse   = wazeroWay{label: "reuse"}
	wazeroFresh   = wazeroWay{label: "fresh", fresh: true}
	wazeroEnded   = wazeroWay{label: "CloseOnContextDone", ended: true}
	wazeroGo      = wazeroWay{label: "reuse, Go guest", golang: true}
	wazeroFreshGo = wazeroWay{label: "fresh, Go guest", golang: true, fresh: true}
)

func (*rawWazero) name() string { return "wazero" }

func (z *rawWazero) setup(_ context.Context, l *lab) (string, error) {
	z.l, z.cache = l, wazero.NewCompilationCache()
	var err error
	if z.c, err = os.ReadFile(l.guestC); err != nil {
		return "", err
	}
	z.gow, err = os.ReadFile(l.guestGo)
	return moduleVersion("github.com/tetratelabs/wazero"), err
}

func (z *rawWazero) sides(j measure.Job) ([]side, string) {
	open := z.rig
	var ways []wazeroWay
	switch j.Kind {
	case measure.Echo:
		ways = []wazeroWay{wazeroReuse, wazeroFresh, wazeroEnded}
		if j.Size <= 1<<20 {
			ways = append(ways, wazeroGo, wazeroFreshGo)
		}
		if j.Busy {
			ways = ways[:1]
		}
	case measure.Submit:
		ways = []wazeroWay{wazeroReuse, wazeroFresh}
	case measure.Map:
		return nil, "it has none; its calls are in the rows of single ones"
	case measure.Cold:
		return z.coldSides(), ""
	case measure.Crash:
		return nil, "a guest that takes its process down takes the program down"
	case measure.Trap, measure.Deadline:
		ways, open = []wazeroWay{wazeroEnded}, z.recover
		if j.Kind == measure.Trap {
			ways[0] = wazeroReuse
		}
	case measure.Compute, measure.Stall, measure.StallGC:
		ways = []wazeroWay{wazeroReuse, wazeroEnded}
	case measure.SpeedUp, measure.Overshoot:
		ways = []wazeroWay{wazeroReuse}
	case measure.Live:
		ways, open = []wazeroWay{wazeroGo}, z.live
	case measure.Idle:
		return nil, "it has no workers"
	default:
		return nil, "the peer of these rows is go-plugin"
	}
	return sidesOf(j, ways, func(w wazeroWay) string { return w.label }, open), ""
}

// A wazeroWorker is a runtime with an instance that stays, and a way to call it.
type wazeroWorker struct {
	w     wazeroWay
	raw   *benchtest.Raw
	bound *benchtest.Bound // of a way that is not fresh
}

func (z *rawWazero) start(ctx context.Context, w wazeroWay) (*wazeroWorker, error) {
	wasm := z.c
	if w.golang {
		wasm = z.gow
	}
	raw, err := benchtest.NewRawOf(ctx, wasm, wazero.NewRuntimeConfig().WithCompilationCache(z.cache).WithCloseOnContextDone(w.ended))
	if err != nil {
		return nil, err
	}
	worker := &wazeroWorker{w: w, raw: raw}
	if !w.fresh {
		if worker.bound, err = raw.Bind(ctx); err != nil {
			_ = raw.Close(ctx) // the first error is the one
			return nil, err
		}
	}
	return worker, nil
}

// Close closes the runtime and what is in it.
func (k *wazeroWorker) Close() error { return k.raw.Close(context.Background()) }

// call calls a function; with a deadline, as a program that ends calls does, where the
// code looks for one.
func (k *wazeroWorker) call(ctx context.Context, function uint32, input []byte) (output []byte, err error) {
	if k.w.ended {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, measure.CallTimeout)
		defer cancel()
	}
	if !k.w.fresh {
		return k.bound.Call(ctx, function, input)
	}
	bound, err := k.raw.Bind(ctx)
	if err != nil {
		return nil, err
	}
	output, err = bound.Call(ctx, function, input)
	if e := bound.Close(ctx); err == nil {
		err = e
	}
	return output, err
}

func (z *rawWazero) rig(ctx context.Context, j measure.Job, w wazeroWay) (measure.Cell, error) {
	workers, err := openEach(j.Workers, func() (*wazeroWorker, error) { return z.start(ctx, w) })
	if err != nil {
		return nil, err
	}
	by := func(function uint32) func(context.Context, int, []byte) ([]byte, error) {
		return func(ctx context.Context, worker int, input []byte) ([]byte, error) {
			return workers[worker].call(ctx, function, input)
		}
	}
	return rig{echo: by(functionEcho), work: by(functionWork), close: func() error { return closeEach(workers) }}.cell(j)
}

// recover has a call trap or be over its time, and makes the instance that the next
// one needs.
func (z *rawWazero) recover(ctx context.Context, j measure.Job, w wazeroWay) (measure.Cell, error) {
	worker, err := z.start(ctx, w)
	if err != nil {
		return nil, err
	}
	input := measure.Payload(j.Size)
	step := func(ctx context.Context) (float64, error) {
		due := time.Now()
		if err := worker.fail(ctx, j); err != nil {
			return 0, err
		}
		due = due.Add(j.Limit)
		_ = worker.bound.Close(ctx) // it is of no use any more
		var err error
		if worker.bound, err = worker.raw.Bind(ctx); err != nil {
			return 0, err
		}
		output, err := worker.call(ctx, functionEcho, input)
		if err != nil {
			return 0, err
		}
		return float64(time.Since(due)), measure.Check(output, input)
	}
	return cellFuncs{func(ctx context.Context, b measure.Box) (measure.Samples, error) {
		return measure.StepLoop(ctx, b, step)
	}, worker.Close}, nil
}

func (k *wazeroWorker) fail(ctx context.Context, j measure.Job) error {
	if j.Kind == measure.Trap {
		if _, err := k.call(ctx, functionTrap, nil); err == nil {
			return errNoEnd
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, j.Limit)
	defer cancel()
	_, err := k.call(ctx, functionSpin, nil)
	return expect[*wazerosys.ExitError](err)
}

// rawClones is how many instances in this process a row of memory has.
const rawClones = 30

// live is what each of many instances takes, once it has answered a call.
func (z *rawWazero) live(ctx context.Context, j measure.Job, w wazeroWay) (measure.Cell, error) {
	worker, err := z.start(ctx, w)
	if err != nil {
		return nil, err
	}
	input := measure.Payload(j.Size)
	return cellFuncs{func(ctx context.Context, _ measure.Box) (measure.Samples, error) {
		return residentOf(rawClones, func() (func() error, error) {
			bound, err := worker.raw.Bind(ctx)
			if err != nil {
				return nil, err
			}
			_, err = bound.Call(ctx, functionEcho, input)
			return func() error { return bound.Close(ctx) }, err
		})
	}, worker.Close}, nil
}

// residentOf is how much more of this process is resident for each of n things.
func residentOf(n int, open func() (end func() error, err error)) (s measure.Samples, err error) {
	before, ok := benchtest.Resident()
	if !ok {
		return s, &measure.AbsentError{Why: "the system does not say what memory a process has"}
	}
	for range n {
		end, err := open()
		if end != nil {
			defer func() { _ = end() }() // its memory is what counts
		}
		if err != nil {
			return s, err
		}
	}
	after, _ := benchtest.Resident()
	s.Each = []float64{float64(after.Sub(before).Per(n).Rss)}
	return s, nil
}

func (z *rawWazero) coldSides() []side {
	start := func(wasm string) func(context.Context) (measure.Cell, error) {
		return func(context.Context) (measure.Cell, error) {
			return coldCell(z.l.helper("wazero"), wasm, z.l.dir("cache", "cold-wazero")), nil
		}
	}
	return []side{{"", start(z.l.guestC)}, {"Go guest", start(z.l.guestGo)}}
}
