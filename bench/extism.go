package main

import (
	"context"
	"os"
	"time"

	extism "github.com/extism/go-sdk"

	"github.com/sandpool/sandpool/bench/internal/measure"
)

// extismSDK is Extism's Go SDK in this process, with a guest in C that moves payloads
// as Extism's C PDK does.
type extismSDK struct {
	l    *lab
	wasm []byte
}

// An extismWay is a side: with or without a timeout in the manifest, which calls need
// to be ended at all, and whether each call has a new instance.
type extismWay struct {
	label        string
	ended, fresh bool
}

var (
	extismReuse = extismWay{label: "reuse"}
	extismFresh = extismWay{label: "instance a call", fresh: true}
	extismEnded = extismWay{label: "timeout", ended: true}
)

func (*extismSDK) name() string { return "extism" }

func (e *extismSDK) setup(_ context.Context, l *lab) (version string, err error) {
	e.l = l
	e.wasm, err = os.ReadFile(l.guestExtism)
	return moduleVersion("github.com/extism/go-sdk"), err
}

func (e *extismSDK) sides(j measure.Job) ([]side, string) {
	open := e.rig
	var ways []extismWay
	switch j.Kind {
	case measure.Echo, measure.Submit:
		ways = []extismWay{extismReuse}
		if j.Size <= 1<<20 && !j.Busy {
			ways = append(ways, extismFresh)
		}
	case measure.Compute, measure.Stall, measure.StallGC:
		ways = []extismWay{extismReuse, extismEnded}
	case measure.SpeedUp, measure.Overshoot:
		ways = []extismWay{extismReuse}
	case measure.Trap:
		ways, open = []extismWay{extismReuse}, e.recover
	case measure.Deadline:
		ways, open = []extismWay{extismEnded}, e.recover
	case measure.Cold:
		return []side{{"", func(context.Context) (measure.Cell, error) {
			return coldCell(e.l.helper("extism"), e.l.guestExtism, e.l.dir("cache", "cold-extism")), nil
		}}}, ""
	case measure.Live:
		return nil, "this guest is in C, and its PDK for Go is not fetched"
	case measure.Map:
		return nil, "it has none; its calls are in the rows of single ones"
	case measure.Crash:
		return nil, "a guest that takes its process down takes the program down"
	case measure.Idle:
		return nil, "it has no workers"
	default:
		return nil, "the peer of these rows is go-plugin"
	}
	return sidesOf(j, ways, func(w extismWay) string { return w.label }, open), ""
}

// An extismWorker is a compiled plugin with an instance that stays.
type extismWorker struct {
	w        extismWay
	compiled *extism.CompiledPlugin
	plugin   *extism.Plugin
}

// start compiles the guest. A way that is ended has limit as each call's.
func (e *extismSDK) start(ctx context.Context, w extismWay, limit time.Duration) (*extismWorker, error) {
	manifest := extism.Manifest{Wasm: []extism.Wasm{extism.WasmData{Data: e.wasm}}}
	if w.ended {
		manifest.Timeout = uint64(limit.Milliseconds())
	}
	compiled, err := extism.NewCompiledPlugin(ctx, manifest, extism.PluginConfig{EnableWasi: true}, nil)
	if err != nil {
		return nil, err
	}
	k := &extismWorker{w: w, compiled: compiled}
	if err := k.instantiate(ctx); err != nil {
		_ = k.Close() //nolint:contextcheck // closing is not to end with ctx; the first error is the one
		return nil, err
	}
	return k, nil
}

func (k *extismWorker) instantiate(ctx context.Context) (err error) {
	k.plugin, err = k.compiled.Instance(ctx, extism.PluginInstanceConfig{})
	return err
}

// Close closes the compiled plugin and what is in it.
func (k *extismWorker) Close() error { return k.compiled.Close(context.Background()) }

func (k *extismWorker) call(ctx context.Context, name string, input []byte) ([]byte, error) {
	if k.w.fresh {
		if err := k.plugin.CloseWithContext(ctx); err != nil {
			return nil, err
		}
		if err := k.instantiate(ctx); err != nil {
			return nil, err
		}
	}
	_, output, err := k.plugin.CallWithContext(ctx, name, input)
	return output, err
}

func (e *extismSDK) rig(ctx context.Context, j measure.Job, w extismWay) (measure.Cell, error) {
	workers, err := openEach(j.Workers, func() (*extismWorker, error) { return e.start(ctx, w, measure.CallTimeout) })
	if err != nil {
		return nil, err
	}
	by := func(name string) func(context.Context, int, []byte) ([]byte, error) {
		return func(ctx context.Context, worker int, input []byte) ([]byte, error) {
			return workers[worker].call(ctx, name, input)
		}
	}
	return rig{echo: by("echo"), work: by("work"), close: func() error { return closeEach(workers) }}.cell(j)
}

// recover has a call trap or be over its time, and makes the instance that the next
// one needs.
func (e *extismSDK) recover(ctx context.Context, j measure.Job, w extismWay) (measure.Cell, error) {
	k, err := e.start(ctx, w, j.Limit)
	if err != nil {
		return nil, err
	}
	input, doomed := measure.Payload(j.Size), "spin"
	if j.Kind == measure.Trap {
		doomed = "trap"
	}
	step := func(ctx context.Context) (float64, error) {
		due := time.Now().Add(j.Limit)
		if _, err := k.call(ctx, doomed, nil); err == nil {
			return 0, errNoEnd
		}
		_ = k.plugin.CloseWithContext(ctx) // it is of no use any more
		if err := k.instantiate(ctx); err != nil {
			return 0, err
		}
		output, err := k.call(ctx, "echo", input)
		if err != nil {
			return 0, err
		}
		return float64(time.Since(due)), measure.Check(output, input)
	}
	return cellFuncs{func(ctx context.Context, b measure.Box) (measure.Samples, error) {
		return measure.StepLoop(ctx, b, step)
	}, k.Close}, nil
}
