package executor

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/startmethod"
)

// Bounds and defaults of Options.
const (
	maxWorkers        = 2000 // Workers, and processes in all
	maxBatch          = 256
	maxName           = 32
	maxInitializer    = 1 << 20 // bytes of its input and those of WarmUp
	maxWarmUp         = 64
	maxGOMAXPROCS     = 64
	defaultBatch      = 64
	defaultCalls      = 10_000
	defaultAge        = 10 * time.Minute
	defaultIdle       = time.Minute
	defaultReusedIdle = 10 * time.Second
	defaultGrowth     = 300_000_000 // loky's _MAX_MEMORY_LEAK_SIZE
	defaultCheck      = time.Second // loky's _MEMORY_LEAK_CHECK_DELAY
	defaultDepth      = 10          // loky's LOKY_MAX_DEPTH
	defaultRetries    = 2
	defaultResults    = 64 << 20
	defaultModules    = 2 << 30
	minGOMAXPROCS     = 2
)

// withDefaults returns a copy with every zero field filled in and off spelled 0,
// but for Retries and Batch, where it is -1.
func (o Options) withDefaults() Options {
	o.Env = slices.Clone(o.Env)
	o.TrustedKeys = cloneKeys(o.TrustedKeys)
	o.Workers = cmp.Or(o.Workers, CPUCount())
	o.StartMethod, _ = o.startMethod()
	o.Codec, _ = o.codec()
	o.ResultReducers = cmp.Or(o.ResultReducers, o.JobReducers)
	o.Limits = o.Limits.withDefaults(defaultLimits)
	o.Batch = cmp.Or(o.Batch, defaultBatch)
	o.CallsPerWorker = orOff(o.CallsPerWorker, defaultCalls)
	o.WorkerAge = orOff(o.WorkerAge, defaultAge)
	o.IdleTimeout = orOff(o.IdleTimeout, defaultIdle)
	o.WorkerGrowth = orOff(o.WorkerGrowth, defaultGrowth)
	o.GrowthCheck = cmp.Or(o.GrowthCheck, defaultCheck)
	o.MaxDepth = orOff(o.MaxDepth, defaultDepth)
	o.Retries = cmp.Or(o.Retries, defaultRetries)
	o.ResultCache = orOff(o.ResultCache, defaultResults)
	o.ModuleCache = orOff(o.ModuleCache, defaultModules)
	o.GOMAXPROCS = cmp.Or(o.GOMAXPROCS, minGOMAXPROCS)
	o.WorkerGID = cmp.Or(o.WorkerGID, o.WorkerUID)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Name != "" {
		o.Logger = o.Logger.With("executor", o.Name)
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

// orOff resolves a field whose zero value is the default and whose negative
// values turn it off.
func orOff[T ~int | ~int64](v, base T) T { return max(0, cmp.Or(v, base)) }

// validate reports every field that makes no sense.
func (o Options) validate() error {
	var errs []error
	wrong := func(option, format string, args ...any) {
		errs = append(errs, &OptionError{"Options." + option, fmt.Sprintf(format, args...)})
	}
	for _, f := range o.numbers() {
		if f.value < 0 || f.value > f.most {
			wrong(f.name, "%d is not between 0 and %d", f.value, f.most)
		}
	}
	if g := o.GOMAXPROCS; g != 0 && (g < minGOMAXPROCS || g > maxGOMAXPROCS) {
		wrong("GOMAXPROCS", "%d is not between %d and %d: a worker needs a thread for the guest and one to hear the host", g, minGOMAXPROCS, maxGOMAXPROCS)
	}
	if workers := cmp.Or(o.Workers, CPUCount()); o.MinWorkers > workers {
		wrong("MinWorkers", "%d is more than the %d of Options.Workers", o.MinWorkers, workers)
	}
	if _, err := cpuCount(); err != nil && o.Workers == 0 {
		errs = append(errs, err)
	}
	if _, err := o.startMethod(); err != nil {
		errs = append(errs, err)
	}
	if _, err := o.codec(); err != nil {
		errs = append(errs, err)
	}
	if o.GrowthCheck < 0 {
		wrong("GrowthCheck", "%v is negative", o.GrowthCheck)
	}
	if o.CrashPolicy < Contain || o.CrashPolicy > Break {
		wrong("CrashPolicy", "%d is none of Contain and Break", o.CrashPolicy)
	}
	if o.Replace < Drain || o.Replace > Kill {
		wrong("Replace", "%d is none of Drain and Kill", o.Replace)
	}
	if o.Interrupt < Flag || o.Interrupt > KillOnly {
		wrong("Interrupt", "%d is none of Flag and KillOnly", o.Interrupt)
	}
	if o.IsolateTenants < Off || o.IsolateTenants > On {
		wrong("IsolateTenants", "%d is none of Off, Auto and On", o.IsolateTenants)
	}
	errs = append(errs, o.checkSandbox()...)
	if reason := checkExecutorName(o.Name); reason != "" {
		wrong("Name", "%s", reason)
	}
	for i, entry := range o.Env {
		if reason := checkEnv(entry); reason != "" {
			wrong("Env", "entry %d: %s", i, reason)
		}
	}
	for i, key := range o.TrustedKeys {
		if len(key) != ed25519.PublicKeySize {
			wrong("TrustedKeys", "key %d has %d bytes instead of %d", i, len(key), ed25519.PublicKeySize)
		}
	}
	if o.Initializer.Name != "" {
		if err := guestabi.CheckName(o.Initializer.Name); err != nil {
			wrong("Initializer.Name", "%v", err)
		}
	}
	return errors.Join(errs...)
}

// startMethod returns the method of calls whose Func names none, as a worker
// knows it, or an *OptionError.
func (o Options) startMethod() (startmethod.Method, error) {
	if o.StartMethod != "" {
		return o.resolveMethod("Options.StartMethod", o.StartMethod)
	}
	m, err := startmethod.Default()
	if err != nil {
		return m, &OptionError{startmethod.Variable, err.Error()}
	}
	return o.resolveMethod("Options.StartMethod", m)
}

// resolveMethod returns the method that m, the value of an option, stands for.
func (o *Options) resolveMethod(option string, m startmethod.Method) (startmethod.Method, error) {
	if !m.Valid() {
		return m, &OptionError{option, "unknown start method " + strconv.Quote(string(m))}
	}
	if m != startmethod.LokyInitMain {
		return m, nil
	}
	if o.Initializer.Name == "" {
		return startmethod.Precompiled, &OptionError{"Options.Initializer", "start method " + string(m) + " needs an initializer"}
	}
	return startmethod.Precompiled, nil
}

// A number is an option that counts something; 0 is always allowed.
type number struct {
	name        string
	value, most int
}

func (o Options) numbers() []number {
	return []number{
		{"Workers", o.Workers, maxWorkers},
		{"MinWorkers", o.MinWorkers, maxWorkers},
		{"Standby", o.Standby, maxWorkers},
		{"MaxPending", o.MaxPending, 1 << 30},
		{"TenantPending", o.TenantPending, 1 << 30},
		{"TenantWorkers", o.TenantWorkers, maxWorkers},
		{"Batch", max(o.Batch, 0), maxBatch},
	}
}

// checkExecutorName reports what is wrong with Options.Name.
func checkExecutorName(name string) string {
	if len(name) > maxName {
		return fmt.Sprintf("%d bytes are more than %d", len(name), maxName)
	}
	for _, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && !strings.ContainsRune("_-.", r) {
			return strconv.Quote(name) + " has characters other than A–Z a–z 0–9 _ - ."
		}
	}
	return ""
}

// checkEnv reports what is wrong with an entry of Options.Env.
func checkEnv(entry string) string {
	key, _, ok := strings.Cut(entry, "=")
	switch {
	case !ok || key == "":
		return strconv.Quote(entry) + ` is not "key=value"`
	case strings.ContainsRune(entry, 0):
		return "contains a NUL byte"
	case key == proc.Marker:
		return key + " is how workers are recognised"
	case key == "GOMAXPROCS":
		return "use Options.GOMAXPROCS"
	}
	return ""
}
