package executor

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sandpool/sandpool/internal/cgroup"
	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/internal/sandbox"
	"github.com/sandpool/sandpool/internal/wire"
)

// A SandboxMode is what it means when something of a worker's sandbox cannot be put in
// force. [Executor.Stats] lists what is and what is not.
type SandboxMode int

const (
	// BestEffort has workers serve in what there is of the sandbox, and warns once to
	// Options.Logger when something is missing. It is the zero value.
	BestEffort SandboxMode = iota
	// Strict refuses workers without the whole sandbox: their calls fail with a
	// *StartError of stage "sandbox" that names what is missing and why.
	Strict
	// NoSandbox leaves out what a debugger or profiler cannot work with: seccomp,
	// Landlock, the loss of capabilities and of dumpability. For code that you trust.
	NoSandbox
)

// What the options add to the mechanisms that a worker reports, as it cannot tell.
const (
	mechanismNamespaces = "namespaces"
	mechanismUID        = "private_uid"
	mechanismCgroup     = "cgroup"
)

// Bounds of a worker's control group and namespace.
const (
	groupMemory  = 256 << 20 // bytes besides what the process may add: its program, stacks, the kernel's share
	groupThreads = 64        // besides two for each thread that runs Go code
)

func (o Options) checkSandbox() (errs []error) {
	wrong := func(option, format string, args ...any) {
		errs = append(errs, &OptionError{"Options." + option, fmt.Sprintf(format, args...)})
	}
	if o.Sandbox < BestEffort || o.Sandbox > NoSandbox {
		wrong("Sandbox", "%d is none of BestEffort, Strict and NoSandbox", o.Sandbox)
	}
	if o.WorkerGID != 0 && o.WorkerUID == 0 {
		wrong("WorkerGID", "makes no sense without WorkerUID")
	}
	if runtime.GOOS != "linux" {
		for option, set := range map[string]bool{"WorkerUID": o.WorkerUID != 0, "Namespaces": o.Namespaces, "Cgroup": o.Cgroup != ""} {
			if set {
				wrong(option, "is for Linux only")
			}
		}
		return errs
	}
	if o.WorkerUID != 0 && os.Geteuid() != 0 {
		wrong("WorkerUID", "only root can start workers as another user")
	}
	return errs
}

// Groups makes control groups for workers. It is safe for concurrent use.
type groups struct {
	once   sync.Once
	parent *cgroup.Parent // published by once, like err
	err    error
	count  atomic.Uint64
}

func (g *groups) next(dir string, l cgroup.Limits) (*cgroup.Group, error) {
	g.once.Do(func() { g.parent, g.err = cgroup.Open(dir) })
	if g.err != nil {
		return nil, g.err
	}
	// Executors of one host, and hosts, may share the directory.
	return g.parent.New(fmt.Sprintf("sandpool-%d-%p-%d", os.Getpid(), g, g.count.Add(1)), l)
}

// A confinement is what became of the options at a worker's launch.
type confinement struct {
	inForce []string
	missing []string // "name: reason"
}

func (f *confinement) add(name string, err error) {
	if err != nil {
		f.missing = append(f.missing, name+": "+err.Error())
	} else {
		f.inForce = append(f.inForce, name)
	}
}

// launch starts a process as the options want it, or without what the system refuses
// when that is allowed.
func (c *core) launch(spec proc.Spec, hello *wire.Hello) (*proc.Process, confinement, error) {
	var f confinement
	o := &c.opts
	if o.Sandbox == NoSandbox {
		hello.Sandbox = wire.SandboxOff
	}
	threads := groupThreads + 2*o.GOMAXPROCS
	if o.WorkerUID != 0 {
		spec.UID, spec.GID = o.WorkerUID, o.WorkerGID
		f.add(mechanismUID, nil)
	}
	if o.Cgroup != "" {
		limits := cgroup.Limits{Memory: hello.Data + 2*hello.Image + groupMemory, Tasks: threads, CPUs: o.GOMAXPROCS}
		group, err := c.groups.next(o.Cgroup, limits)
		if f.add(mechanismCgroup, err); err != nil && o.Sandbox == Strict {
			return nil, f, &StartError{Stage: stageSandbox, Err: fmt.Errorf("%s: %w", mechanismCgroup, err)}
		}
		spec.Group = group
	}
	p, err := c.launchIn(spec, hello, uint64(threads), &f)
	if err != nil && spec.Group != nil {
		err = errors.Join(err, spec.Group.Remove())
	}
	return p, f, err
}

// launchIn starts a process in namespaces, if it is to have some.
func (c *core) launchIn(spec proc.Spec, hello *wire.Hello, threads uint64, f *confinement) (*proc.Process, error) {
	if c.opts.Namespaces {
		spec.Namespaces = true
		p, err := c.launcher.Start(spec)
		switch {
		case err == nil:
			f.add(mechanismNamespaces, nil)
			if proc.UserNamespace() {
				hello.Threads = threads
			}
			return p, nil
		case !errors.Is(err, proc.ErrNoNamespaces):
			return nil, &StartError{Stage: "launch", Err: err}
		case c.opts.Sandbox == Strict:
			return nil, &StartError{Stage: stageSandbox, Err: err}
		}
		spec.Namespaces = false
		f.missing = append(f.missing, err.Error())
	}
	p, err := c.launcher.Start(spec)
	if err != nil {
		return nil, &StartError{Stage: "launch", Err: err}
	}
	return p, nil
}

// stageSandbox is the stage of a StartError about a sandbox that lacks something.
const stageSandbox = "sandbox"

// judge looks at what a worker has reported, and refuses it if it has to.
func (c *core) judge(cn *conn, f confinement) error {
	r := &cn.ready
	for _, name := range sandbox.Required() {
		if !slices.Contains(r.InForce, name) && !names(r.Missing, name) {
			r.Missing = append(r.Missing, name+": the worker does not report it")
		}
	}
	r.InForce = append(r.InForce, f.inForce...)
	r.Missing = append(r.Missing, f.missing...)
	switch {
	case len(r.Missing) == 0 || c.opts.Sandbox == NoSandbox:
	case c.opts.Sandbox == Strict:
		return errors.New("not in force: " + strings.Join(r.Missing, "; "))
	default:
		c.lacking.Do(func() {
			c.log.Warn("the sandbox of workers lacks something on this system", "missing", r.Missing, "pid", cn.p.PID)
		})
	}
	return nil
}

// names reports whether one of the entries "name: reason" is about name.
func names(missing []string, name string) bool {
	return slices.ContainsFunc(missing, func(m string) bool { return strings.HasPrefix(m, name+":") })
}

// deathReason says who ended a process, where that is known.
func deathReason(e proc.Exit) string {
	switch {
	case e.SignalName == "SIGSYS":
		return ReasonSeccomp
	case e.OutOfMemory && e.SignalName == "SIGKILL":
		return ReasonMemory
	default:
		return ""
	}
}
