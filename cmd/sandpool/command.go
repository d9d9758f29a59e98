package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/quote"
)

// grants are the flags that say what a guest may use of the host.
type grants struct {
	env  []string
	dirs []string
	seed uint64
}

// grants returns what the flags grant.
func (r *runner) grants() (g executor.Grants, err error) {
	g.Seed, g.Env, g.Host = r.granted.seed, r.granted.env, r.lent.names
	for _, text := range r.granted.dirs {
		dir, err := parseDir(text)
		if err != nil {
			return g, err
		}
		g.Dirs = append(g.Dirs, dir)
	}
	return g, nil
}

// parseDir reads HOST[:GUEST][:rw]. A guest's path begins with a slash.
func parseDir(text string) (executor.Dir, error) {
	d := executor.Dir{}
	d.Host, d.Writable = strings.CutSuffix(text, ":rw")
	if !d.Writable {
		d.Host = strings.TrimSuffix(d.Host, ":ro")
	}
	if i := strings.LastIndex(d.Host, ":/"); i >= 0 {
		d.Host, d.Guest = d.Host[:i], d.Host[i+1:]
	}
	if d.Host == "" {
		return d, usagef("--dir=%s: want HOST[:GUEST][:rw]", text)
	}
	return d, nil
}

// checkCommand reports flags that only functions have.
func (r *runner) checkCommand() error {
	if r.raw != "" || r.text || r.stats {
		return usagef("--raw, --string and --stats are for functions, not for commands")
	}
	return r.check()
}

// runCommand runs a module that is a command. The exit status is the command's.
func (r *runner) runCommand(ctx context.Context, path string, args []string) error {
	if err := r.checkCommand(); err != nil {
		return err
	}
	g, err := r.grants()
	if err != nil {
		return err
	}
	if r.module, err = r.load(path); err != nil {
		return err
	}
	if r.bare && r.module.CheckCommand() != nil && r.module.Check() == nil {
		return usagef("sandpool run wants MODULE FUNC [INPUT...], got 1 argument (see sandpool run --help)")
	}
	stdin, err := r.stdin()
	if err != nil {
		return err
	}
	if r.ex, err = r.executor(r.streams); err != nil {
		return err
	}
	defer shut(ctx, r.ex)
	fn := executor.Command(r.module)
	in := executor.CommandInput{Args: append([]string{r.module.Name()}, args...), Env: g.Env, Stdin: stdin}
	g.Env = nil // a command has it of its input
	fn.Grants = g
	result, err := executor.Submit(ctx, r.ex, fn, in).Wait(ctx)
	if err != nil {
		return err
	}
	for _, s := range []struct {
		w    io.Writer
		text []byte
	}{{r.err, result.Stderr}, {r.streams.out, result.Stdout}} {
		if isTerminal(s.w) {
			s.text = []byte(quote.Escape(string(s.text), "\n\t"))
		}
		if _, err := s.w.Write(s.text); err != nil {
			return outputError(err)
		}
	}
	if result.ExitCode == 0 {
		return nil
	}
	return &statusError{status: max(1, result.ExitCode&0xff)} // all that a system passes on
}

// stdin reads standard input to its end. A terminal has none that a command could be
// given before it runs.
func (r *runner) stdin() ([]byte, error) {
	if r.in == nil || isTerminal(r.in) {
		return nil, nil
	}
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(r.in, maxInput+1))
	if err == nil && n > maxInput {
		err = errors.New("more than 1 GiB")
	}
	if err != nil {
		return nil, usagef("standard input: %w", err)
	}
	r.totals.loaded = time.Since(r.began)
	return b.Bytes(), nil
}
