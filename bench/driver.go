package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/sandpool/sandpool/bench/internal/measure"
)

// A driver is a contender in a process of its own, which measures itself: one in
// another language, or one that needs cgo.
type driver struct {
	label   string
	version string // the key of its version in the answer to hello
	// prepare returns the command, or why there is none on this machine.
	prepare func(ctx context.Context, l *lab) (command []string, err error)
	// ways are the sides that take part in a row; if there are none, why says so.
	ways func(j measure.Job) (ways []string, why string)
	// cold is behind the command for a program that makes one call; empty for none.
	cold func(l *lab) []string

	l       *lab
	command []string
}

func (d *driver) name() string { return d.label }

func (d *driver) setup(ctx context.Context, l *lab) (string, error) {
	command, err := d.prepare(ctx, l)
	if err != nil {
		return "", err
	}
	d.l, d.command = l, command
	p, err := d.start(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = p.Close() }() //nolint:contextcheck // closing is not to end with ctx; the version is all that was wanted
	reply, err := p.ask(ctx, measure.Request{Op: "hello"}, helloTimeout)
	if err != nil {
		return "", err
	}
	if v := reply.Version[d.version]; v != "" {
		return v, nil
	}
	return "", fmt.Errorf("%s does not say which version of %s it has", command[0], d.version)
}

func (d *driver) sides(j measure.Job) ([]side, string) {
	if j.Kind == measure.Cold && d.cold != nil {
		return []side{{"", func(context.Context) (measure.Cell, error) {
			args := slices.Concat(d.command[1:], d.cold(d.l))
			return coldCell(d.command[0], args...), nil
		}}}, ""
	}
	ways, why := d.ways(j)
	return sidesOf(j, ways, func(w string) string { return w }, d.open), why
}

// How long a driver is waited for, besides the time of a box.
const (
	helloTimeout = 20 * time.Second
	openTimeout  = 3 * time.Minute // compilers are slow on a busy machine
	runTimeout   = 2 * time.Minute
)

func (d *driver) open(ctx context.Context, j measure.Job, way string) (measure.Cell, error) {
	p, err := d.start(ctx)
	if err != nil {
		return nil, err
	}
	r := measure.Request{Op: "open", Side: way, Job: &j, Wasm: d.l.guestC, Other: d.l.guestGo, Cache: d.l.dir("cache", "driver")}
	if _, err := p.ask(ctx, r, openTimeout); err != nil {
		_ = p.Close() //nolint:contextcheck // closing is not to end with ctx; the first error is the one
		return nil, err
	}
	return p, nil
}

// A driverProcess is a driver that runs. As a cell it has asked for one to be opened.
type driverProcess struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	replies *bufio.Reader
	stderr  *tail
}

func (d *driver) start(ctx context.Context) (*driverProcess, error) {
	p := &driverProcess{cmd: exec.CommandContext(ctx, d.command[0], d.command[1:]...), stderr: new(tail)}
	p.cmd.Stderr = p.stderr
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.replies = bufio.NewReaderSize(stdout, 1<<20)
	p.cmd.WaitDelay = time.Second // for what its workers hold open
	return p, p.cmd.Start()
}

// ask sends a request and waits for the reply.
func (p *driverProcess) ask(ctx context.Context, r measure.Request, limit time.Duration) (reply measure.Reply, err error) {
	line, err := json.Marshal(r)
	if err != nil {
		return reply, err
	}
	// Whatever blocks below ends with the process.
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })()
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		return reply, p.broken(r.Op, err)
	}
	answer, err := p.line()
	if err != nil {
		return reply, p.broken(r.Op, errors.Join(err, context.Cause(ctx)))
	}
	switch err := json.Unmarshal(answer, &reply); {
	case err != nil:
		return reply, p.broken(r.Op, err)
	case reply.Absent != "":
		return reply, &measure.AbsentError{Why: reply.Absent}
	case reply.Error != "":
		return reply, errors.New(reply.Error)
	}
	return reply, nil
}

// line reads a line of bounded length.
func (p *driverProcess) line() (line []byte, err error) {
	for len(line) < measure.MaxReply {
		part, err := p.replies.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
	return nil, errors.New("its answer is too long")
}

func (p *driverProcess) broken(op string, err error) error {
	return fmt.Errorf("driver %s: %s: %w: %s", p.cmd.Path, op, err, strings.TrimSpace(p.stderr.String()))
}

// Run implements measure.Cell.
func (p *driverProcess) Run(ctx context.Context, b measure.Box) (measure.Samples, error) {
	reply, err := p.ask(ctx, measure.Request{Op: "run", Box: &b}, b.Time+runTimeout)
	if err != nil {
		return measure.Samples{}, err
	}
	for _, pid := range reply.PIDs {
		m, err := processMemory(pid)
		if err != nil {
			return measure.Samples{}, err
		}
		reply.Each = append(reply.Each, float64(m.Pss))
	}
	return reply.Samples, nil
}

// host is the process that this contender's caller is in.
func (p *driverProcess) host() int { return p.cmd.Process.Pid }

// Close ends the process and those that it has started.
func (p *driverProcess) Close() error {
	_, err := p.ask(context.Background(), measure.Request{Op: "close"}, openTimeout)
	_ = p.stdin.Close() // it ends with its input
	stop := time.AfterFunc(openTimeout, func() { _ = p.cmd.Process.Kill() })
	defer stop.Stop()
	if e := p.cmd.Wait(); err == nil && e != nil && !errors.Is(e, exec.ErrWaitDelay) {
		err = fmt.Errorf("%w: %s", e, p.stderr.String())
	}
	return err
}

// A tail keeps the end of what is written to it.
type tail struct{ b []byte }

const tailBytes = 4 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-tailBytes):]
	return len(p), nil
}

// String is what there is.
func (t *tail) String() string { return string(t.b) }

// missing returns an error that says what to do about a contender that is not there.
func missing(what string) error {
	return fmt.Errorf("%s is not there: make bench-deps", what)
}

// exists reports whether a file does.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
