package executor

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/sandpool/sandpool/startmethod"
)

// Options configure an executor. A nil *Options, like the zero value, asks for
// the defaults throughout. New copies them.
type Options struct {
	// CacheDir is the directory that keeps compiled modules between runs. It must
	// be private to the user. Empty means "sandpool" in the user's cache
	// directory; [NoCacheDir] keeps compiled modules in memory only. A directory
	// that cannot be used is reported to Logger and does without.
	CacheDir string

	// GuestLog receives what guests log and print: one record a line, with the
	// attributes func, module and worker, and stream for lines of the standard
	// output or error. Nil discards them. Its handler runs on the worker's
	// goroutine: while it blocks the guest waits, and Close waits too, so it must not
	// call Close or Shutdown. Control characters in messages are escaped.
	GuestLog *slog.Logger

	// Limits are what each call gets, and the most a Func may ask for.
	Limits Limits

	// Logger receives events of the executor's life: workers started and died,
	// modules compiled. Nil discards them. Its handler must not call Close or
	// Shutdown.
	Logger *slog.Logger

	// StartMethod is how calls get their instance unless their Func says. Empty
	// means startmethod.Default.
	StartMethod startmethod.Method

	// WorkerPath is the program to start as worker; it must call wasmworker.Main
	// and be built with the same version of Sandpool. Empty means this program.
	WorkerPath string

	// Workers is the most worker processes at a time, not counting those that have
	// been killed and are about to end. Zero means one for each
	// CPU this process may use, as runtime.GOMAXPROCS counts them. Negative is an
	// error, and so is more than 2000: each busy worker holds one thread of the
	// host.
	Workers int
}

// NoCacheDir as [Options.CacheDir] keeps nothing on disk.
const NoCacheDir = "none"

// maxWorkers bounds Options.Workers.
const maxWorkers = 2000

// withDefaults returns a copy with every zero field filled in.
func (o Options) withDefaults() Options {
	o.Workers = cmp.Or(o.Workers, runtime.GOMAXPROCS(0))
	o.StartMethod = cmp.Or(o.StartMethod, startmethod.Default)
	o.Limits = o.Limits.withDefaults(defaultLimits)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.GuestLog == nil {
		o.GuestLog = slog.New(slog.DiscardHandler)
	}
	if o.CacheDir == "" {
		o.CacheDir = NoCacheDir
		if dir, err := os.UserCacheDir(); err == nil {
			o.CacheDir = filepath.Join(dir, "sandpool")
		}
	}
	return o
}

// validate reports every field that makes no sense.
func (o Options) validate() error {
	var errs []error
	if o.Workers < 0 || o.Workers > maxWorkers {
		errs = append(errs, &OptionError{"Options.Workers", fmt.Sprintf("%d is not between 1 and %d, nor 0 for the default", o.Workers, maxWorkers)})
	}
	if !o.StartMethod.Valid() {
		errs = append(errs, &OptionError{"Options.StartMethod", "unknown start method " + strconv.Quote(string(o.StartMethod))})
	}
	return errors.Join(errs...)
}
