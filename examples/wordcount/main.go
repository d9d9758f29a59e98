// Command wordcount counts the words of every Go file below a directory: each
// file is one call of a guest in a sandboxed worker. It prints the most frequent
// words, what the calls took, and whether a count without Sandpool agrees.
//
// The exit status is 0 when every file was counted and the counts agree, 1 when
// not, 2 for wrong arguments and 130 after an interrupt.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
	"github.com/sandpool/sandpool/wasmworker"
)

func main() {
	wasmworker.Main() // serves and exits here when this process is a worker

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit statuses.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// run is the program; it returns the exit status. The end of ctx interrupts it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil: // the flag package has said what
		return exitUsage
	}
	j := &job{flags: f, stdout: stdout, stderr: stderr}
	err = j.do(ctx)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "wordcount: interrupted")
		return exitInterrupted
	case err != nil:
		fmt.Fprintf(stderr, "wordcount: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// flags are the program's arguments.
type flags struct {
	dir, module string
	options     executor.Options
	top         int
	verbose     bool
}

func parseFlags(args []string, stderr io.Writer) (flags, error) {
	var f flags
	set := flag.NewFlagSet("wordcount", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&f.dir, "dir", "", "count the Go files below this `directory` (default: the sources of the Go installation)")
	set.StringVar(&f.module, "module", filepath.Join("build", "wordcount.wasm"), "the guest, a WebAssembly `file`")
	set.IntVar(&f.options.Workers, "workers", 0, "run at most this many worker `processes` (default: one for each CPU)")
	set.IntVar(&f.top, "top", 20, "print this `number` of words")
	method, _ := startmethod.Default() // the executor reports a variable that is wrong
	set.Func("start-method", fmt.Sprintf("how a call gets its instance: a `method` of %v (default %s)", startmethod.Methods(), method), func(name string) (err error) {
		f.options.StartMethod, err = startmethod.Parse(name)
		return err
	})
	set.DurationVar(&f.options.Limits.Wall, "timeout", 0, "give up a file after this `time` (default 30s)")
	set.BoolVar(&f.verbose, "v", false, "report on the workers")
	if err := set.Parse(args); err != nil {
		return f, err
	}
	err := f.check(set.Args())
	if err != nil {
		fmt.Fprintf(stderr, "wordcount: %v\n", err)
		set.Usage()
	}
	return f, err
}

func (f *flags) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case f.top < 0:
		return fmt.Errorf("-top is negative (%d)", f.top)
	case f.options.Workers < 0:
		return fmt.Errorf("-workers is negative (%d)", f.options.Workers)
	case f.options.Limits.Wall < 0:
		return fmt.Errorf("-timeout is negative (%v)", f.options.Limits.Wall)
	}
	return nil
}

// A job is one run of the program.
type job struct {
	flags

	stdout, stderr io.Writer
	files          []string // below dir, with slashes
	counted        []string // of these, the ones that a worker has counted
	failed         int      // files that could not be counted
	progress       *progress
}

// do counts, prints and checks. Its error is the program's.
func (j *job) do(ctx context.Context) error {
	mod, err := serialize.LoadModule(j.module)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w (make builds the guest; -module says where it is)", err)
	}
	if err != nil {
		return err
	}
	if j.dir == "" {
		if j.dir, err = goSources(ctx); err != nil {
			return err
		}
	}
	if j.files, err = goFiles(j.dir); err != nil {
		return err
	}
	if len(j.files) == 0 {
		return fmt.Errorf("no Go files below %s", j.dir)
	}
	if j.verbose {
		j.options.Logger = slog.New(slog.NewTextHandler(j.stderr, nil))
	}
	ex, err := executor.New(&j.options)
	if err != nil {
		return err
	}
	defer ex.Close()

	count := executor.Func[[]byte, map[string]int]{Module: mod, Name: "count"}
	j.progress = newProgress(j.stderr, len(j.files), !j.verbose)
	began := time.Now()
	found, err := j.countSandboxed(ctx, ex, count)
	took := time.Since(began)
	j.progress.end()
	if err != nil {
		return err
	}
	stats := ex.Stats()
	if err := ex.Shutdown(ctx); err != nil {
		_ = ex.Close() // interrupted
	}

	printTop(j.stdout, found, j.top)
	printSummary(j.stdout, found, j.failed, took, stats)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return j.check(found)
}

// check compares what the workers found with a count in this process.
func (j *job) check(found *tally) error {
	native, err := countNative(j.dir, j.counted)
	if err != nil {
		return fmt.Errorf("count natively: %w", err)
	}
	if diff := found.difference(native); diff != "" {
		return fmt.Errorf("native count differs: %s", diff)
	}
	fmt.Fprintf(j.stdout, "native count agrees: %s files, %s different words, %s in all\n",
		grouped(native.files), grouped(len(native.words)), grouped(native.total()))
	if j.failed > 0 {
		return fmt.Errorf("%s of %s files failed", grouped(j.failed), grouped(len(j.files)))
	}
	return nil
}

// goSources returns the directory of the Go installation's own sources.
func goSources(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT, for the default of -dir: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "src"), nil
}
