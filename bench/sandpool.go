package main

import (
	"cmp"
	"context"
	"os"
	"path/filepath"

	"github.com/sandpool/sandpool/bench/internal/measure"
	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// sandpool is what is measured. Its options are the defaults but where a side's label
// says so.
type sandpool struct {
	l       *lab
	c, gom  *serialize.Module
	profile *executor.Options // what of a worker is different that profiles itself; nil for no profile
}

// A way is a side of sandpool's: a start method and a guest, and what of the options
// is not as it is by default.
type way struct {
	label  string
	method startmethod.Method
	golang bool // the guest in Go, instead of the one in C
	opts   executor.Options
}

var (
	waySnapshot    = way{method: startmethod.Snapshot}
	wayWarm        = way{label: "warm", method: startmethod.Warm}
	wayPrecompiled = way{label: "precompiled", method: startmethod.Precompiled}
	wayGo          = way{label: "Go guest", method: startmethod.Snapshot, golang: true}
	wayKillOnly    = way{label: "KillOnly", method: startmethod.Snapshot, opts: executor.Options{Interrupt: executor.KillOnly}}
	wayStandby     = way{label: "standby", method: startmethod.Snapshot, opts: executor.Options{Standby: 1}}
	wayKillStandby = way{
		label: "KillOnly, standby", method: startmethod.Snapshot,
		opts: executor.Options{Interrupt: executor.KillOnly, Standby: 1},
	}
)

func (*sandpool) name() string { return sandpoolName }

func (s *sandpool) setup(_ context.Context, l *lab) (string, error) {
	s.l = l
	var err error
	if s.c, err = serialize.LoadModule(l.guestC); err != nil {
		return "", err
	}
	s.gom, err = serialize.LoadModule(l.guestGo)
	return "this source", err
}

func (s *sandpool) sides(j measure.Job) ([]side, string) {
	open := s.rig
	var ways []way
	switch j.Kind {
	case measure.Echo:
		ways = []way{waySnapshot, wayWarm}
		if j.Size <= 1<<20 && !j.Busy {
			ways = append(ways, wayPrecompiled, wayGo)
		}
	case measure.Submit:
		ways, open = []way{waySnapshot, wayWarm, wayGo}, s.submit
	case measure.Map:
		ways, open = []way{waySnapshot, wayWarm, wayGo}, s.mapped
	case measure.Cold:
		return s.coldSides(), ""
	case measure.Crash:
		ways, open = []way{waySnapshot, wayStandby}, s.recover
	case measure.Trap:
		ways, open = []way{waySnapshot}, s.recover
	case measure.Deadline:
		ways, open = []way{waySnapshot, wayKillOnly, wayKillStandby}, s.recover
	case measure.Compute:
		ways = []way{waySnapshot, wayKillOnly}
	case measure.Stall, measure.StallGC, measure.SpeedUp:
		ways = []way{waySnapshot}
		if j.Kind == measure.SpeedUp {
			open = s.speedUp
		}
	case measure.Overshoot:
		ways, open = []way{waySnapshot}, s.overshoot
	case measure.Idle:
		ways, open = []way{waySnapshot}, s.idle
	case measure.Live:
		ways, open = []way{wayGo}, s.live
	case measure.Calls, measure.Modules:
		ways, open = []way{waySnapshot}, s.scale
	}
	return sidesOf(j, ways, func(w way) string { return w.label }, open), ""
}

// A pool is an executor with a function for each of the guest's.
type pool struct {
	ex *executor.Executor
	w  way
	m  *serialize.Module
}

// open makes an executor with its workers started and the module loaded.
func (s *sandpool) open(ctx context.Context, j measure.Job, w way, workers int) (*pool, error) {
	opts := w.opts
	opts.Workers, opts.StartMethod = workers, w.method
	opts.CacheDir, opts.WorkerPath = s.l.dir("cache", sandpoolName), s.l.helper("sandpool")
	if s.profile != nil {
		opts.Sandbox, opts.Env, opts.CallsPerWorker = s.profile.Sandbox, s.profile.Env, s.profile.CallsPerWorker
	}
	if j.Size > 100<<20 { // beyond what a call may have by default
		opts.Limits = executor.Limits{Memory: int64(j.Size)*2 + 64<<20, Output: int64(j.Size)}
	}
	ex, err := executor.New(&opts)
	if err != nil {
		return nil, err
	}
	p := &pool{ex, w, s.c}
	if w.golang {
		p.m = s.gom
	}
	if err := ex.Prewarm(ctx, workers, p.m); err != nil {
		return nil, cmp.Or(err, ex.Close())
	}
	return p, nil
}

func (p *pool) function(name string) executor.Func[[]byte, []byte] {
	return executor.Func[[]byte, []byte]{Module: p.m, Name: name}
}

// call makes a call of a function, whichever worker has it.
func (p *pool) call(name string) func(context.Context, int, []byte) ([]byte, error) {
	f := p.function(name)
	return func(ctx context.Context, _ int, input []byte) ([]byte, error) {
		return executor.Submit(ctx, p.ex, f, input).Wait(ctx)
	}
}

func (s *sandpool) rig(ctx context.Context, j measure.Job, w way) (measure.Cell, error) {
	p, err := s.open(ctx, j, w, j.Workers)
	if err != nil {
		return nil, err
	}
	return rig{echo: p.call("echo"), work: p.call("work"), close: p.ex.Close}.cell(j)
}

// coldSides start a program whose compiled modules are in its cache, by a first run
// that nobody measures.
func (s *sandpool) coldSides() []side {
	start := func(wasm string) func(context.Context) (measure.Cell, error) {
		return func(context.Context) (measure.Cell, error) {
			return coldCell(s.l.helper("sandpool"), wasm, s.l.dir("cache", "cold-sandpool")), nil
		}
	}
	return []side{{"", start(s.l.guestC)}, {"Go guest", start(s.l.guestGo)}}
}

// dirOf makes a directory of the lab's that is private to the user.
func dirOf(parts ...string) (string, error) {
	dir := filepath.Join(parts...)
	return dir, os.MkdirAll(dir, 0o700)
}
