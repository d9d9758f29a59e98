package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/sandpool/sandpool/bench/internal/measure"
	"github.com/sandpool/sandpool/internal/benchtest"
)

// A runner measures rows.
type runner struct {
	l      *lab
	out    io.Writer // what is going on
	box    time.Duration
	rounds int
	all    []contender
	first  bool // only the first side of each contender
}

// Bounds of what a cell may take besides its box, and of the calls in a box.
const (
	cellTimeout = 3 * time.Minute
	maxCalls    = 300_000
)

// setup finds out who is there.
func (r *runner) setup(ctx context.Context, res *results) {
	res.Versions = make(map[string]string)
	var here []contender
	for _, c := range r.all {
		version, err := c.setup(ctx, r.l)
		if err != nil {
			res.Missing = append(res.Missing, notice{c.name(), err.Error()})
			fmt.Fprintf(r.out, "%s is missing: %v\n", c.name(), err)
			continue
		}
		if version != "" {
			res.Versions[c.name()] = version
		}
		here = append(here, c)
	}
	r.all = here
}

// run measures all rows, those of a failure too: it stands in its cell.
func (r *runner) run(ctx context.Context, all []row, res *results) error {
	for _, row := range all {
		began := time.Now()
		result, err := r.row(ctx, row)
		if err != nil {
			return fmt.Errorf("row %s: %w", row.name, err)
		}
		res.Rows = append(res.Rows, result)
		printRow(r.out, result)
		fmt.Fprintf(r.out, "(%.1f s)\n\n", time.Since(began).Seconds())
	}
	return context.Cause(ctx)
}

// An entrant is a side that takes part in a row.
type entrant struct {
	cell *cell
	side side
	open measure.Cell // nil once it has failed
}

// row measures one row. The error is one of the machine's: none of a contender's.
func (r *runner) row(ctx context.Context, row row) (*rowResult, error) {
	row.job.Workers = max(1, row.job.Workers)
	result := &rowResult{Name: row.name, Title: row.title, Unit: row.unit, Worst: row.job.Kind.Pauses()}
	entrants := r.entrants(row, result)
	for _, e := range entrants {
		r.open(ctx, e, result)
	}
	result.drop()
	defer func() {
		for _, e := range entrants {
			e.close()
		}
	}()
	if row.job.Busy {
		burners, err := r.burn(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { _ = closeEach(burners) }() // they are of no more use
	}
	rounds := r.rounds
	if row.once {
		rounds = 1
	}
	if !row.once && row.job.Kind != measure.Stall && row.job.Kind != measure.StallGC { // they take a second each
		for _, e := range entrants {
			r.measure(ctx, e, r.box/4, nil)
		}
	}
	for round := range rounds {
		for i := range entrants { // another one begins in each round
			e := entrants[(i+round)%len(entrants)]
			r.measure(ctx, e, r.box, e.cell)
		}
	}
	result.finish()
	return result, context.Cause(ctx)
}

func (r *runner) entrants(row row, result *rowResult) (entrants []*entrant) {
	for _, c := range r.all {
		sides, why := c.sides(row.job)
		if r.first && len(sides) > 1 {
			sides = sides[:1]
		}
		if len(sides) == 0 {
			result.Absent = append(result.Absent, notice{c.name(), why})
		}
		for _, s := range sides {
			e := &entrant{cell: &cell{Contender: c.name(), Side: s.label}, side: s}
			result.Cells = append(result.Cells, e.cell)
			entrants = append(entrants, e)
		}
	}
	return entrants
}

// open makes a side ready. One that finds out now that it takes no part says why.
func (r *runner) open(ctx context.Context, e *entrant, result *rowResult) {
	cell, err := e.side.open(ctx)
	if absent, ok := errors.AsType[*measure.AbsentError](err); ok {
		result.Absent = append(result.Absent, notice{e.cell.label(), absent.Why})
		e.cell.absent = true
	} else if err != nil {
		e.fail(err)
	} else {
		e.open = cell
	}
}

// fail notes what went wrong, the first time.
func (e *entrant) fail(err error) {
	if e.cell.Error == "" {
		e.cell.Error = err.Error()
	}
	e.close()
}

func (e *entrant) close() {
	if e.open == nil {
		return
	}
	open := e.open
	e.open = nil
	if err := open.Close(); err != nil {
		e.fail(fmt.Errorf("close: %w", err))
	}
}

// measure runs one box, and adds what it finds to a cell unless it is nil.
func (r *runner) measure(ctx context.Context, e *entrant, box time.Duration, to *cell) {
	if e.open == nil || ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, box+cellTimeout, errors.New("the cell took too long"))
	defer cancel()
	runtime.GC()
	before, known := cpuNow()
	s, err := e.open.Run(ctx, measure.Box{Time: box, Calls: maxCalls})
	after, _ := cpuNow()
	if err != nil {
		e.fail(err)
		return
	}
	if to == nil {
		return
	}
	host := os.Getpid()
	if elsewhere, ok := e.open.(interface{ host() int }); ok {
		host = elsewhere.host()
	}
	hostTime, workTime := after.since(before, host)
	to.samples = append(to.samples, s.Each...)
	to.Calls += s.Calls
	to.hostTime += hostTime
	to.workTime += workTime
	to.CPU = known
}

// burn starts a process for each core that keeps it busy.
func (r *runner) burn(ctx context.Context) ([]burner, error) {
	return openEach(runtime.NumCPU(), func() (burner, error) {
		cmd := exec.CommandContext(ctx, r.l.helper("burn"))
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return burner{}, err
		}
		return burner{cmd, stdin}, cmd.Start()
	})
}

// A burner is one such process.
type burner struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

// Close ends it.
func (b burner) Close() error {
	if b.cmd == nil || b.cmd.Process == nil {
		return nil
	}
	return errors.Join(b.stdin.Close(), b.cmd.Wait())
}

// newResults is the head of what a run finds.
func newResults(r *runner) *results {
	return &results{
		Command: commandLine(), Began: time.Now(), Machine: benchtest.ThisMachine(), Commit: commit(r.l.src),
		LoadBefore: benchtest.Load(), Box: r.box, Rounds: r.rounds,
	}
}

// commandLine is this program's, without the paths that the Makefile adds.
func commandLine() string {
	args := []string{"bench"}
	for i := 1; i < len(os.Args); i++ {
		if os.Args[i] == "--src" || os.Args[i] == "--out" {
			i++
			continue
		}
		args = append(args, os.Args[i])
	}
	return strings.Join(args, " ")
}

// commit is that of the source, "" where git does not say.
func commit(src string) string {
	cmd := exec.Command("git", "describe", "--always", "--dirty") //nolint:noctx // it is short
	cmd.Dir = src
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
