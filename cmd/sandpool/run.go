package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/sandpool/sandpool/internal/quote"

	"github.com/fxamacker/cbor/v2"
	"github.com/spf13/cobra"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"
)

const runHelp = `Run calls a function of a module once for each input and prints the results as
JSON, one a line, in the order of the inputs. sandpool inspect lists a module's
functions.

Inputs:
  VALUE    a JSON value: 42, '"text"', '{"A": 1}', null for functions that take nothing
  @PATH    a file with any number of JSON values, each an input
  @-       standard input, likewise; also what is read when there is no INPUT
A VALUE that begins with @ is written with two. Standard input is read as results
are wanted, and each result is printed as soon as it is there, so that it may be
endless or a conversation.

With --string, each argument, file or standard input is one string as it stands.
With --raw, each is one input of raw bytes, for functions that take bytes, and
there can be only one, as its output is printed as it is. --raw=in and --raw=out
do so for one direction, for functions that take or return bytes but not both.
Raw output to a terminal is escaped.

Whole numbers are integers of any size, others are float64. In results bytes are
base64 strings and times RFC 3339 strings. Results that JSON has no value for, as
NaN, are errors. What guests log and print goes to standard error.

A module that is a WASI command, as compilers make of a program, has no FUNC: what
stands behind -- are its arguments. It gets standard input, read to its end before
unless that is a terminal; its output and its exit status are the tool's.

A failed input is reported on standard error and does not stop the others.

` + statusHelp

const runExamples = `  sandpool run math.wasm add '{"A": 1, "B": 2}'
  sandpool run math.wasm sum '[1, 2, 3]' '[4, 5]' --workers 2
  sandpool run text.wasm upper -s 'no quotes needed'
  sandpool run text.wasm count -s @book.txt --timeout 5s --memory 64MiB
  tail -f events.jsonl | sandpool run rules.wasm classify
  sandpool run image.wasm resize --raw < big.png > small.png
  sandpool run tool.wasm --dir .:/src --env LANG=C -- --check /src/main.go
  sandpool run text.wasm upper --digest sha256:8f43… '"pinned"'`

// A runner is the run command.
type runner struct {
	*streams
	settings

	raw   string // "", both, in or out
	codec codecName
	text  bool
	stats bool
	lent  lent

	bare bool // nothing follows MODULE: it has to be a command

	granted grants
	grant   executor.Grants // what they say

	began    time.Time
	module   *serialize.Module
	function string
	ex       *executor.Executor
	out      *bufio.Writer
	numbered bool                  // errors name their input
	known    *executor.Description // nil until explain asked for it
	totals   totals
}

func newRun(s *streams) *cobra.Command {
	r := &runner{streams: s, began: time.Now()}
	cmd := &cobra.Command{
		Use:     "run MODULE FUNC [INPUT...] | run MODULE [-- ARG...]",
		Short:   "Call a function of a module, or run a command",
		Long:    runHelp,
		Example: runExamples,
		Args:    wantArgs("MODULE FUNC [INPUT...], or MODULE -- [ARG...]", 1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash() == 1; dash || len(args) == 1 {
				r.bare = !dash
				return r.runCommand(cmd.Context(), args[0], args[1:])
			}
			return r.run(cmd.Context(), args[0], args[1], args[2:])
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.raw, "raw", "", "raw bytes instead of JSON, `in|out` or both directions")
	f.Lookup("raw").NoOptDefVal = "both"
	r.codec = cborCodec
	f.Var(&r.codec, "codec", "how inputs and results travel between host and guest: cbor or json")
	f.BoolVarP(&r.text, "string", "s", false, "take inputs as strings instead of JSON")
	f.IntVarP(&r.workers, "workers", "w", 0, "most worker processes at a time (default: one for each CPU)")
	r.add(cmd)
	r.lent.add(cmd)
	f.StringArrayVar(&r.granted.env, "env", nil, "a variable of the guest's environment, `KEY=VALUE`; may be repeated")
	f.StringArrayVar(&r.granted.dirs, "dir", nil, "a directory that the guest may read, or with :rw change, `HOST[:GUEST][:rw]`; GUEST is where it finds it, / if left out; may be repeated")
	f.Uint64Var(&r.granted.seed, "seed", 0, "make the guest's random numbers repeat; 0 for the system's")
	f.BoolVar(&r.stats, "stats", false, "print figures of the run to standard error at its end")
	return cmd
}

func (r *runner) rawIn() bool { return r.raw == "in" || r.raw == "both" }

func (r *runner) rawOut() bool { return r.raw == "out" || r.raw == "both" }

// run checks the command line, opens everything and calls the function.
func (r *runner) run(ctx context.Context, path, function string, inputs []string) (err error) {
	args := parseArguments(inputs)
	if err := r.checkFlags(len(args)); err != nil {
		return err
	}
	feed, err := r.feed(args)
	if err != nil {
		return err
	}
	// A lone literal, or file that is read whole, is the only input there can be.
	r.numbered = len(args) > 1 || args[0].file && !r.rawIn() && !r.text
	r.function = function
	if r.module, err = r.load(path); err != nil {
		return err
	}
	host, err := r.lent.module()
	if err != nil {
		return err
	}
	defer r.lent.close() // when the executor is shut
	if r.grant, err = r.grants(); err != nil {
		return err
	}
	if r.ex, err = r.executorWith(r.streams, host); err != nil {
		return err
	}
	r.out = bufio.NewWriter(r.streams.out)
	r.totals.loaded = time.Since(r.began)
	err = r.call(ctx, feed, args)
	if e := outputError(r.out.Flush()); err == nil {
		err = e
	}
	if r.stats {
		r.printStats()
	}
	shut(ctx, r.ex)
	return err
}

func (r *runner) checkFlags(inputs int) error {
	switch {
	case r.raw != "" && !r.rawIn() && !r.rawOut():
		return usagef("--raw=%s: want in, out or both", r.raw)
	case r.rawIn() && r.text:
		return usagef("--string and --raw=%s exclude each other", r.raw)
	case r.rawOut() && inputs > 1:
		return usagef("--raw=%s takes one input, as its output is printed as it is; got %d", r.raw, inputs)
	}
	return r.check()
}

// feed returns the inputs that are no raw bytes.
func (r *runner) feed(args []argument) (feed[any], error) {
	switch {
	case r.rawIn():
		return nil, nil //nolint:nilnil // documented above
	case r.text:
		return stringFeed(args, r.in), nil
	default:
		return jsonFeed(args, r.in)
	}
}

// call runs the inputs through the function in the types that the flags ask for.
func (r *runner) call(ctx context.Context, values feed[any], args []argument) error {
	switch {
	case r.rawIn() && r.rawOut():
		return pump(ctx, r, bytesFeed(args, r.in), r.showBytes)
	case r.rawIn() && r.codec == jsonCodec:
		return pump(ctx, r, bytesFeed(args, r.in), r.showAsIs)
	case r.rawIn():
		return pump(ctx, r, bytesFeed(args, r.in), r.showJSON)
	case r.rawOut():
		return pump(ctx, r, values, r.showBytes)
	case r.codec == jsonCodec:
		return pump(ctx, r, values, r.showAsIs)
	default:
		return pump(ctx, r, values, r.showJSON)
	}
}

// showAsIs prints a result that came as JSON.
func (r *runner) showAsIs(result json.RawMessage) error {
	var line bytes.Buffer
	if err := json.Compact(&line, result); err != nil {
		return &statusError{statusFailed, fmt.Errorf("result is no JSON: %w", err)}
	}
	line.WriteByte('\n')
	_, err := r.out.Write(escapeJSON(line.Bytes()))
	return outputError(err)
}

func (r *runner) showJSON(result cbor.RawMessage) error {
	line, err := resultJSON(result)
	if err != nil {
		return &statusError{statusFailed, err}
	}
	_, err = r.out.Write(line)
	return outputError(err)
}

// showBytes prints raw output, which only a terminal gets in another form.
func (r *runner) showBytes(result []byte) error {
	if isTerminal(r.streams.out) {
		result = []byte(quote.Escape(string(result), "\n\t"))
	}
	_, err := r.out.Write(result)
	return outputError(err)
}

// isTerminal reports whether w is a character device, as terminals are.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// window is how many calls may be under way or wait to be printed: four for each
// worker, so that none waits for another's long call.
func (r *runner) window() int {
	workers := r.workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	return 4 * workers
}

// fail reports an input's error. It returns the error to end with and whether
// every other input would fail alike.
func (r *runner) fail(ctx context.Context, n int, err error) (told error, stop bool) {
	cause := r.explain(ctx, err)
	stop = hopeless(err) || hopeless(cause)
	if r.numbered && !stop {
		cause = fmt.Errorf("input %d: %w", n, cause)
	}
	r.complain(cause)
	return &statusError{status: exitStatus(cause)}, stop
}
