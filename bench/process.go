package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/sandpool/sandpool/bench/internal/cold"
	"github.com/sandpool/sandpool/bench/internal/measure"
)

// processes is a new process for each call: os/exec.
type processes struct{ l *lab }

func (*processes) name() string { return "os/exec" }

func (p *processes) setup(_ context.Context, l *lab) (string, error) {
	p.l = l
	return "", nil
}

func (p *processes) sides(j measure.Job) ([]side, string) {
	switch j.Kind {
	case measure.Echo, measure.Submit:
		return []side{{"", func(context.Context) (measure.Cell, error) { return rig{echo: p.echo}.cell(j) }}}, ""
	case measure.Cold:
		return nil, "each of its calls is one: see the row of latency"
	case measure.Crash, measure.Deadline, measure.Trap:
		return nil, "the next call is a new process as every one is: see the row of latency"
	default:
		return nil, "a process a call is not made for it"
	}
}

// echo runs one process.
func (p *processes) echo(ctx context.Context, _ int, input []byte) ([]byte, error) {
	cmd := exec.CommandContext(ctx, p.l.helper("echo"), "-once")
	cmd.Stdin = bytes.NewReader(input)
	return cmd.Output()
}

// coldTimeout bounds a program of the cold row.
const coldTimeout = time.Minute

// coldCell starts a program for each sample, which is the time until it says that its
// call has come to a good result. Its end is waited for with the clock stopped.
func coldCell(path string, args ...string) measure.Cell {
	return cellFuncs{run: func(ctx context.Context, b measure.Box) (measure.Samples, error) {
		return measure.StepLoop(ctx, b, func(ctx context.Context) (float64, error) { return coldStart(ctx, path, args) })
	}}
}

func coldStart(ctx context.Context, path string, args []string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, coldTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	word := make([]byte, len(cold.Word))
	n, err := out.Read(word)
	took := time.Since(began)
	if string(word[:n]) != cold.Word {
		err = errors.Join(err, fmt.Errorf("it said %q", word[:n]))
	} else {
		err = nil
	}
	if e := cmd.Wait(); err == nil {
		err = e
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", path, err, stderr.String())
	}
	return float64(took), nil
}
