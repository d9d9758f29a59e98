package main

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/sandpool/sandpool/bench/internal/measure"
	"github.com/sandpool/sandpool/bench/internal/plug"
)

// goPlugin is hashicorp/go-plugin by gRPC: native code in processes, trusted.
type goPlugin struct{ l *lab }

// pluginFlight is how many calls are in flight for each plugin where a row wants as
// many as go in.
const pluginFlight = 16

func (*goPlugin) name() string { return "go-plugin" }

func (g *goPlugin) setup(_ context.Context, l *lab) (string, error) {
	g.l = l
	return moduleVersion("github.com/hashicorp/go-plugin"), nil
}

func (g *goPlugin) sides(j measure.Job) ([]side, string) {
	var open func(context.Context) (measure.Cell, error)
	switch j.Kind {
	case measure.Map:
		return nil, "it has none; its calls are in the rows of single ones"
	case measure.Trap:
		return nil, "native code does not trap; it crashes"
	case measure.Cold:
		open = func(context.Context) (measure.Cell, error) { return coldCell(g.l.helper("plugin"), "-host"), nil }
	case measure.Crash, measure.Deadline:
		open = func(context.Context) (measure.Cell, error) { return g.recover(j) }
	case measure.Idle, measure.Live:
		open = func(ctx context.Context) (measure.Cell, error) { return g.memory(ctx, j) }
	case measure.Calls, measure.Modules:
		open = func(context.Context) (measure.Cell, error) { return g.scale(j), nil }
	default:
		open = func(context.Context) (measure.Cell, error) { return g.rig(j) }
	}
	return []side{{"", open}}, ""
}

func (g *goPlugin) start(n int) ([]closingPlugin, error) {
	return openEach(n, func() (closingPlugin, error) {
		p, err := plug.Start(g.l.helper("plugin"))
		return closingPlugin{p}, err
	})
}

// A closingPlugin is a plugin that closes as other things do.
type closingPlugin struct{ *plug.Plugin }

// Close ends the process.
func (p closingPlugin) Close() error { //nolint:unparam // it is an io.Closer
	if p.Plugin != nil {
		p.Kill()
	}
	return nil
}

func (g *goPlugin) rig(j measure.Job) (measure.Cell, error) {
	plugins, err := g.start(j.Workers)
	if err != nil {
		return nil, err
	}
	by := func(name string) func(context.Context, int, []byte) ([]byte, error) {
		return func(ctx context.Context, worker int, input []byte) ([]byte, error) {
			return plugins[worker].Call(ctx, name, input)
		}
	}
	return rig{echo: by("Echo"), work: by("Work"), flight: pluginFlight, close: func() error { return closeEach(plugins) }}.cell(j)
}

func (g *goPlugin) memory(ctx context.Context, j measure.Job) (measure.Cell, error) {
	plugins, err := g.start(j.Workers)
	if err != nil {
		return nil, err
	}
	input := measure.Payload(j.Size)
	for _, p := range plugins {
		if _, err := p.Call(ctx, "Echo", input); err != nil {
			_ = closeEach(plugins) // the first error is the one
			return nil, err
		}
	}
	return memoryCell(func() (pids []int) {
		for _, p := range plugins {
			pids = append(pids, p.PID())
		}
		return pids
	}, func() error { return closeEach(plugins) }), nil
}

// recover has a plugin killed in the middle of a call and starts the next, as a program
// with go-plugin has to itself.
func (g *goPlugin) recover(j measure.Job) (measure.Cell, error) {
	p, err := plug.Start(g.l.helper("plugin"))
	if err != nil {
		return nil, err
	}
	input := measure.Payload(j.Size)
	var reaping sync.WaitGroup
	step := func(ctx context.Context) (float64, error) {
		if _, err := p.Call(ctx, "Echo", input); err != nil { // it is warm
			return 0, err
		}
		due, err := doomedPlugin(ctx, p, j)
		if err != nil {
			return 0, err
		}
		reaping.Go(p.Kill) // ends soon, since the process has
		if p, err = plug.Start(g.l.helper("plugin")); err != nil {
			return 0, err
		}
		output, err := p.Call(ctx, "Echo", input)
		if err != nil {
			return 0, err
		}
		return float64(time.Since(due)), measure.Check(output, input)
	}
	return cellFuncs{
		run: func(ctx context.Context, b measure.Box) (measure.Samples, error) {
			return measure.StepLoop(ctx, b, step)
		},
		close: func() error {
			if p != nil {
				p.Kill()
			}
			reaping.Wait()
			return nil
		},
	}, nil
}

// doomedPlugin makes a call that never returns, has it end as the row says, and
// returns when its end was due. The process is gone then.
func doomedPlugin(ctx context.Context, p *plug.Plugin, j measure.Job) (time.Time, error) {
	limit := j.Limit
	if j.Kind == measure.Crash {
		limit = measure.CallTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	due := time.Now().Add(limit)
	failed := make(chan error, 1) // one result
	go func() {                   // ends with the process or ctx
		_, err := p.Call(ctx, "Spin", nil)
		failed <- err
	}()
	process, err := os.FindProcess(p.PID())
	if err != nil {
		return due, err
	}
	if j.Kind == measure.Crash {
		if err := awaitBusy(ctx, p.PID()); err != nil {
			return due, err
		}
		due = time.Now()
	} else {
		<-ctx.Done()
	}
	// Not Client.Kill, which asks first and waits two seconds for a plugin that is busy.
	if err := process.Kill(); err != nil {
		return due, err
	}
	if err := <-failed; err == nil {
		return due, errNoEnd
	}
	return due, nil
}

// scale makes a number of calls, or one of each of a number of plugins, from the start
// to the end of all.
func (g *goPlugin) scale(j measure.Job) measure.Cell {
	input := measure.Payload(j.Size)
	return cellFuncs{run: func(ctx context.Context, b measure.Box) (measure.Samples, error) {
		b.Calls = 1
		s, err := measure.StepLoop(ctx, b, func(ctx context.Context) (float64, error) {
			began := time.Now()
			workers, flight, calls := j.Workers, pluginFlight, j.Count
			if j.Kind == measure.Modules {
				workers, flight = j.Count, 1
			}
			plugins, err := g.start(workers)
			if err != nil {
				return 0, err
			}
			echo := func(ctx context.Context, worker int, input []byte) ([]byte, error) {
				return plugins[worker].Call(ctx, "Echo", input)
			}
			if j.Kind == measure.Modules {
				for i := range plugins {
					if err := measure.Checked(echo, workers, input, input)(ctx, i); err != nil {
						_ = closeEach(plugins) // the first error is the one
						return 0, err
					}
				}
			} else if err := measure.Batch(ctx, workers*flight, calls, measure.Checked(echo, workers, input, input)); err != nil {
				_ = closeEach(plugins) // the first error is the one
				return 0, err
			}
			took := time.Since(began)
			return float64(took), closeEach(plugins)
		})
		s.Calls = j.Count
		return s, err
	}}
}
