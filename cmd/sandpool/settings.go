package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// settings are the flags that run and inspect share.
type settings struct {
	cacheDir string
	digest   digest
	level    logLevel
	memory   size
	method   method
	quiet    bool
	timeout  time.Duration
	trust    []string // public key files
	verbose  bool
	workers  int // of run only
	limits   limits

	trusted []ed25519.PublicKey // of the files in trust; nil for no --trust
}

// add gives the command the flags and what their values are to begin with.
func (g *settings) add(cmd *cobra.Command) {
	g.level, g.memory, g.timeout = logLevel(slog.LevelInfo), 256<<20, 30*time.Second
	f := cmd.Flags()
	f.SortFlags = false
	f.DurationVar(&g.timeout, "timeout", g.timeout, "wall `time` of a call, such as 300ms or 2m; 0 for no limit")
	f.Var(&g.memory, "memory", "most linear memory of a call, such as 64MiB; 0 for what the format allows")
	g.limits.add(f)
	f.Var(&g.method, "start-method", "how a call gets its instance: "+methodNames()+", or loky's name for one (default "+defaultMethod()+"; the variable "+startmethod.Variable+" has another)")
	f.Var(&g.digest, "digest", "refuse a module whose digest is another, in the form sha256:…")
	f.StringArrayVar(&g.trust, "trust", nil, "refuse a module without a signature, in MODULE.sig, of a key in this public key `file`; may be given several times")
	f.StringVar(&g.cacheDir, "cache-dir", "", "private `directory` that keeps compiled modules, or none (default: sandpool in the user's cache)")
	f.Var(&g.level, "log", "least level of guest logs to show: debug, info, warn, error or off; what guests print counts as info")
	f.BoolVarP(&g.quiet, "quiet", "q", false, "show nothing that guests log or print, as --log=off")
	f.BoolVarP(&g.verbose, "verbose", "v", false, "show the executor's own log, and guests' stacks below their errors")
}

// load reads the module at path.
func (g *settings) load(path string) (*serialize.Module, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	for _, file := range g.trust {
		keys, err := readPublicKeys(file)
		if err != nil {
			return nil, err
		}
		g.trusted = append(g.trusted, keys...)
	}
	m, err := serialize.Trust{Digest: string(g.digest), Keys: g.trusted}.Load(path)
	if err != nil {
		return nil, loadError(err)
	}
	return m, nil
}

// check reports values that flags cannot tell by themselves.
func (g *settings) check() error {
	if g.timeout < 0 {
		return usagef("--timeout: %v is negative", g.timeout)
	}
	if err := g.limits.check(); err != nil {
		return err
	}
	return nil
}

// executor returns an executor as the flags want it.
func (g *settings) executor(s *streams) (*executor.Executor, error) { return g.executorWith(s, nil) }

// executorWith returns one that has host functions to lend.
func (g *settings) executorWith(s *streams, host *executor.HostModule) (*executor.Executor, error) {
	s.verbose = g.verbose
	o := &executor.Options{
		CacheDir:    g.cacheDir,
		StartMethod: startmethod.Method(g.method),
		TrustedKeys: g.trusted,
		Workers:     g.workers,
		Host:        host,
		Limits:      executor.Limits{Wall: g.timeout, Memory: int64(g.memory), Input: maxInput},
	}
	g.limits.set(o)
	if o.Limits.Wall == 0 {
		o.Limits.Wall = -1
	}
	if o.Limits.Memory == 0 {
		o.Limits.Memory = -1
	}
	if !g.quiet {
		o.GuestLog = slog.New(&guestLog{w: s.err, level: slog.Level(g.level)})
	}
	if g.verbose {
		o.Logger = slog.New(&ownLog{slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: dropTime})})
	}
	ex, err := executor.New(o)
	return ex, flagError(err)
}

// shut sends the workers home if no call is left, and waits until every process
// is gone.
func shut(ctx context.Context, ex *executor.Executor) {
	const patience = time.Second // an idle worker takes a millisecond
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if ex.Stats().Running == 0 {
		_ = ex.Shutdown(ctx) // Close does what is left
	}
	_ = ex.Close() // returns nil
}

// An ownLog is the executor's log, which has no use for a context.
type ownLog struct{ slog.Handler }

// Handle implements slog.Handler.
func (h *ownLog) Handle(ctx context.Context, r slog.Record) error {
	r.Message = oneLine(r.Message)
	return h.Handler.Handle(ctx, r)
}

func dropTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// flagError names the flag or argument for which the executor names an option.
func flagError(err error) error {
	e, ok := errors.AsType[*executor.OptionError](err)
	if !ok {
		return err
	}
	names := map[string]string{"Options.Workers": "--workers", "Options.StartMethod": "--start-method", "Options.Initializer": "--start-method", "Func.Name": "FUNC"}
	if name, ok := names[e.Option]; ok {
		return usagef("%s: %s", name, e.Reason)
	}
	return err
}

// A size is a flag's number of bytes.
type size int64

// String returns the size as Set takes it.
func (z *size) String() string {
	for shift, unit := range map[int]string{30: "GiB", 20: "MiB", 10: "KiB"} {
		if n := *z >> shift; n > 0 && n<<shift == *z && n < 1024 {
			return strconv.FormatInt(int64(n), 10) + unit
		}
	}
	return strconv.FormatInt(int64(*z), 10)
}

// Set parses a number of bytes, KiB, MiB or GiB.
func (z *size) Set(s string) error {
	digits := strings.TrimRight(s, "KMGiBkmgb")
	shift, ok := map[string]int{"": 0, "b": 0, "k": 10, "kib": 10, "m": 20, "mib": 20, "g": 30, "gib": 30}[strings.ToLower(s[len(digits):])]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !ok || n < 0 || n > 1<<62>>shift {
		return errors.New("not a size such as 1000000, 64MiB or 1GiB")
	}
	*z = size(n << shift)
	return nil
}

// Type names the value in the help.
func (*size) Type() string { return "size" }

// A method is a flag's start method.
type method startmethod.Method

// String returns the method's name.
func (m *method) String() string { return string(*m) }

// Set takes what startmethod.Parse does.
func (m *method) Set(s string) error {
	parsed, err := startmethod.Parse(s)
	*m = method(parsed)
	return err
}

// Type names the value in the help.
func (*method) Type() string { return "method" }

func methodNames() string {
	names := make([]string, 0, len(startmethod.Methods()))
	for _, m := range startmethod.Methods() {
		names = append(names, string(m))
	}
	return strings.Join(names, ", ")
}

// defaultMethod is what counts without the flag. A variable that is wrong is
// reported by the executor.
func defaultMethod() string {
	m, _ := startmethod.Default()
	return string(m)
}

// A digest is a flag's module digest, empty for none.
type digest string

var digestForm = regexp.MustCompile(`^(sha256:)?[0-9a-fA-F]{64}$`)

// String returns the digest.
func (d *digest) String() string { return string(*d) }

// Set takes a digest with or without its algorithm.
func (d *digest) Set(s string) error {
	if !digestForm.MatchString(s) {
		return errors.New("not sha256: and 64 hexadecimal digits")
	}
	*d = digest("sha256:" + strings.ToLower(strings.TrimPrefix(s, "sha256:")))
	return nil
}

// Type names the value in the help.
func (*digest) Type() string { return "digest" }
