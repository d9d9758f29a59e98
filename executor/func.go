package executor

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sandpool/sandpool/internal/codecs"
	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/wasmbin"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// A Func names a function of a module and how to call it. It is a small value:
// to call the same function in another way, change a copy. In and Out are the Go
// types of its input and output: []byte travels as raw bytes, every other type
// through Codec.
type Func[In, Out any] struct {
	// Module holds the function. Either it or Handle is required.
	Module *serialize.Module
	// Handle, in the place of Module, points at the module that holds the function at
	// the time of Submit; see [Swap].
	Handle *serialize.Handle
	// Meter has the call's processor time and fuel measured, see [Usage]. It runs code
	// that counts, as with a limit on fuel.
	Meter bool
	// Name is the name the guest registered the function by. Required.
	Name string
	// Codec names the codec of input and output, see [serialize.Register]; the guest
	// is told and uses the same. Empty means the executor's. A []byte is raw whatever it
	// says, and [serialize.With] chooses for one input.
	Codec string
	// Grants are what the call may use of the host. The zero value is nothing.
	Grants Grants
	// Idempotent says that running the call twice does no harm: it may be run again
	// when its worker dies, see Options.Retries.
	Idempotent bool
	// Limits lower what Options.Limits gives a call; zero fields keep it. Asking
	// for more is an error.
	Limits Limits
	// Priority orders the calls of one tenant: higher goes first, equal in the order
	// of Submit. It is no way past other tenants.
	Priority int
	// Pure says that the function's output depends on nothing but its input, so that
	// a result may come from Options.ResultCache. Errors are never kept. A function
	// with host functions granted should not be declared Pure unless they are pure too.
	Pure bool
	// StartMethod is how a call gets its instance. Empty means the executor's.
	StartMethod startmethod.Method
	// Tenant is on whose behalf the call runs. Workers are shared fairly between
	// tenants, however many calls each has queued, and Options.IsolateTenants keeps
	// their processes apart. Empty is a tenant like others. At most 256 bytes.
	Tenant string

	command bool         // made by Command
	streams *callStreams // set by SubmitStream
}

// Grants are what a call may use of the host. The zero value grants nothing.
type Grants struct {
	// Host names the host functions of Options.Host that the guest may call, at most
	// 64.
	Host []string
	// Seed makes the guest's random numbers repeat: calls with the same seed draw the
	// same ones, in the same order of draws. That includes the numbers that a Go guest's
	// runtime draws for math/rand and the order of maps. Zero, the default, gives every
	// call fresh ones of the system's. Never seed what has to be a secret. Calls of each
	// seed have an image of their own, so that a new seed at every call is slow.
	Seed uint64
	// Args are the guest's arguments, its own name first. At most 1000, and 64 KiB. They
	// hold when an instance is initialised, too, which is when Go guests read them, so
	// that calls with other Args, Env or Clock have an image of their own, as those
	// with another Seed have.
	Args []string
	// Env is the guest's environment, each entry "KEY=value"; where a key comes twice the
	// last counts, and the guest finds the entries sorted. At most 1000, and 64 KiB.
	Env []string
	// Stdin is what the call reads from standard input. It is sent along with the input,
	// counts against Limits.Input and must not be changed any more. Initialisation, whose
	// instance may be other calls' as well, finds standard input at its end.
	Stdin []byte
	// Clock is how the guest sees the time.
	Clock Clock
	// Dirs are directories of the host that the guest may use, at most 16. A worker that
	// has some serves no calls but those with the same Dirs: give calls few different
	// ones. Their instances are not restored, so that Snapshot and Warm run them
	// [startmethod.Precompiled], and what files a call has opened is closed at its end.
	// Results of Pure functions with Dirs are not kept.
	Dirs []Dir
}

// A target is a Func without its types, resolved and checked: what a worker binds
// to a slot. It is comparable.
type target struct {
	module  *serialize.Module
	name    string
	method  startmethod.Method
	limits  Limits
	codecs  uint32 // as guest/ABI.md has them
	named   codecNames
	out     string // name of the output's codec
	seed    uint64 // of random numbers; 0 for the system's
	host    string // names of the host functions granted, sorted, joined by hostSeparator
	world   world
	command bool // a WASI command, whose name is guestabi.ExportStart

	tenant     string
	priority   int
	idempotent bool

	mode  wasmbin.Mode // of the code it runs
	meter bool
}

// maxHostNames is how many host functions a call may be granted.
const maxHostNames = 64

// hostSeparator stands in no name of a host function.
const hostSeparator = ","

// hostNames lists the host functions granted.
func (t *target) hostNames() []string {
	if t.host == "" {
		return nil
	}
	return strings.Split(t.host, hostSeparator)
}

// resolve checks f against the executor's options, for an input in a codec.
func (f *Func[In, Out]) resolve(o *Options, codec string) (target, error) {
	t := target{
		name:   f.Name,
		limits: f.Limits.withDefaults(o.Limits),
		seed:   f.Grants.Seed, command: f.command,
		tenant: f.Tenant, priority: f.Priority, idempotent: f.Idempotent,
	}
	t.mode, t.meter = o.mode(), f.Meter
	if t.meter || t.limits.Fuel > 0 {
		t.mode = wasmbin.Fuel
	}
	module, err := pointed(f.Module, f.Handle)
	if err != nil {
		return t, err
	}
	t.module = module
	if err := guestabi.CheckName(f.Name); err != nil {
		return t, &OptionError{"Func.Name", err.Error()}
	}
	method, err := o.resolveMethod("Func.StartMethod", cmp.Or(f.StartMethod, o.StartMethod))
	if err != nil {
		return t, err
	}
	t.method = method
	if len(f.Tenant) > maxTenant {
		return t, &OptionError{"Func.Tenant", fmt.Sprintf("%d bytes are more than %d", len(f.Tenant), maxTenant)}
	}
	host, err := f.Grants.resolve(o.Host)
	if err != nil {
		return t, err
	}
	if t.host = host; f.streams != nil {
		t.host = grantStreams(host)
	}
	out := codecs.NameRaw
	if f.command {
		out = codecs.NameCBOR // in which workers tell what became of a run
	} else if !serialize.IsRaw[Out]() {
		out = cmp.Or(f.Codec, o.Codec)
	}
	if _, err := checkCodec("Func.Codec", out); err != nil {
		return t, err
	}
	t.setCodecs(codec, out)
	if f.command {
		t.name = guestabi.ExportStart
		if err := f.Grants.checkCommand(); err != nil {
			return t, err
		}
	}
	if t.world, err = f.Grants.resolveWorld(); err != nil {
		return t, err
	}
	return t, t.check(o)
}

// pointed returns the module that a Func has or that its handle points at now.
func pointed(m *serialize.Module, h *serialize.Handle) (*serialize.Module, error) {
	switch {
	case m != nil && h != nil:
		return nil, &OptionError{"Func.Handle", "is set, and so is Func.Module; a function has one of both"}
	case h != nil:
		if m = h.Module(); m == nil {
			return nil, &OptionError{"Func.Handle", "points at no module"}
		}
	case m == nil:
		return nil, &OptionError{"Func.Module", "is nil, and so is Func.Handle"}
	}
	return m, nil
}

// maxTenant bounds Func.Tenant, in bytes.
const maxTenant = 256

// resolve checks the grants against what the host has, and returns the names of
// host functions as a target holds them.
func (g Grants) resolve(m *HostModule) (string, error) {
	if len(g.Host) == 0 {
		return "", nil
	}
	if len(g.Host) > maxHostNames {
		return "", &OptionError{"Func.Grants.Host", fmt.Sprintf("%d functions are more than %d", len(g.Host), maxHostNames)}
	}
	names := slices.Compact(slices.Sorted(slices.Values(g.Host)))
	for _, name := range names {
		if m == nil || m.functions[name].call == nil {
			return "", &OptionError{"Func.Grants.Host", fmt.Sprintf("Options.Host has no function %s; it has %s", strconv.Quote(name), cmp.Or(strings.Join(m.Names(), ", "), "none"))}
		}
	}
	return strings.Join(names, hostSeparator), nil
}

// check reports why the target cannot be called at all.
func (t *target) check(o *Options) error {
	if err := t.limits.check(o.Limits); err != nil {
		return err
	}
	if err := o.trusts(t.module); err != nil {
		return err
	}
	check := t.module.Check
	if t.command {
		check = t.module.CheckCommand
	}
	if err := check(); err != nil {
		return err
	}
	if needs := clamp(t.module.InitialMemory()); needs > t.limits.Memory {
		return &LimitError{Limit: guestabi.LimitMemory, Max: t.limits.Memory, Used: needs}
	}
	return nil
}
