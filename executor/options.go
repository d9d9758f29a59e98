package executor

import (
	"crypto/ed25519"
	"log/slog"
	"time"

	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// Options configure an executor. A nil *Options, like the zero value, asks for
// the defaults throughout; in a number zero is the default and a negative value
// turns the thing off where that makes sense. New copies them.
type Options struct { //nolint:recvcheck // it is large: what runs for each call takes a pointer
	// Batch is the most calls that are handed to a worker ahead of its answers, so
	// that it never waits between short calls. It is used for calls of the same
	// function that have taken a fraction of a millisecond each; one that turns out to
	// be slow gives those behind it back. Zero means 64, negative none.
	Batch int

	// BlockWhenFull makes Submit wait for room in a queue that MaxPending or
	// TenantPending bounds, until its ctx ends, instead of failing the call with
	// [ErrQueueFull].
	BlockWhenFull bool

	// CacheDir is the directory that keeps compiled modules between runs. It must
	// be private to the user. Empty means "sandpool" in the user's cache
	// directory; [NoCacheDir] keeps compiled modules in memory only. A directory
	// that cannot be used is reported to Logger and does without.
	CacheDir string

	// CallsPerWorker is how many calls a worker serves before it is replaced. Zero
	// means 10 000, negative no bound; 1 gives every call a process of its own.
	CallsPerWorker int

	// Cgroup is a directory of cgroup v2 that was delegated to this process, with the
	// controllers memory, pids and cpu. Every worker gets a group of its own in it, which
	// bounds its memory, threads and CPU time, and is removed after it. Empty means that
	// workers stay in their host's group. Linux only.
	Cgroup string

	// Codec names the codec of the inputs and outputs of calls whose Func names none,
	// and of the inputs of Initializer and WarmUp; see [serialize.Register]. Empty means
	// what SANDPOOL_CODEC in the environment names, else "cbor".
	Codec string

	// CrashPolicy is what the death of a worker means for the other calls.
	CrashPolicy CrashPolicy

	// Env is added to the environment that worker processes start with, each entry
	// "key=value": settings of the Go runtime and of package initialisation in
	// WorkerPath. Workers clear it before they read anything of a guest; guests see
	// none of it. GOMAXPROCS and SANDPOOL_WORKER cannot be set here.
	Env []string

	// GOMAXPROCS is how many threads of a worker run Go code at a time. Zero means 2,
	// which is also the least: while one runs the guest, another has to hear the host.
	// Guests are single-threaded, so that more hardly ever helps.
	GOMAXPROCS int

	// GrowthCheck is how often, at most, a worker's memory is looked at for
	// WorkerGrowth. Zero means one second.
	GrowthCheck time.Duration

	// GuestLog receives what guests log and print: one record a line, with the
	// attributes func, module and worker, and stream for lines of the standard
	// output or error. Nil discards them. Its handler runs on the worker's
	// goroutine: while it blocks the guest waits, and Close waits too, so it must not
	// call Close or Shutdown; its panic is contained and reported to Logger. Control characters in messages are escaped.
	GuestLog *slog.Logger

	// Host holds the host functions that Func.Grants may name. Nil has none.
	Host *HostModule

	// IdleTimeout is how long a worker may be idle before it is sent home. Zero
	// means one minute, in a [Reusable] ten seconds; negative keeps workers.
	IdleTimeout time.Duration

	// Initializer runs once in every new instance, before its call. The zero value
	// is none.
	Initializer Initializer

	// Interrupt is how a call is ended early, at a limit or because nobody wants its
	// result any more.
	Interrupt Interrupt

	// IsolateTenants keeps tenants apart: a worker that has served one is never
	// given a call of another, and results are cached apart. Where a tenant has to wait
	// for a worker of its own, an idle one of another makes room at once, and a busy one
	// between two calls when it has served the other for 100 ms. Auto, the zero value,
	// means On; Off lets tenants share workers, each call still in an instance of its
	// own.
	IsolateTenants Switch

	// JobReducers replace values of some types in inputs before they are encoded, and
	// in outputs where ResultReducers is nil put them back: loky's job_reducers. They are not applied
	// to the inputs of Initializer and WarmUp. Nil has none.
	JobReducers *serialize.Reducers

	// Limits are what each call gets, and the most a Func may ask for.
	Limits Limits

	// Logger receives events of the executor's life: workers started and died,
	// modules compiled. Nil discards them. Its handler must not call Close or
	// Shutdown.
	Logger *slog.Logger

	// MaxDepth is how deep calls may nest: a host function that submits a call makes
	// it one deeper than its own, which counts 1. Zero means 10; negative sets no
	// bound but the budget of 1000 nested calls that a call and all below it share.
	MaxDepth int

	// MaxPending is the most calls that wait for a worker at a time; see
	// BlockWhenFull. Nested calls do not count. Zero means no bound.
	MaxPending int

	// MinWorkers is how many workers are kept when there is nothing to do. New
	// starts them in the background. Zero means none; it cannot be more than Workers.
	MinWorkers int

	// ModuleCache is how many bytes an executor keeps of its modules: as they were loaded, their
	// code rewritten and compiled, what their memory starts as, and images. Modules that
	// no call uses any more are dropped beyond it, those that were not used for longest
	// first, and prepared anew when they are called again; compiled code comes from
	// CacheDir then. The last module that was called stays, however large it is, and so do those that
	// are in use. Zero means 2 GiB, negative no bound. Besides, no more than 256 modules
	// are kept, and no more than 1 GiB of images.
	ModuleCache int64

	// Name appears in the names of worker processes ("sandpool-NAME-worker-1") and
	// in log records. At most 32 bytes of A–Z a–z 0–9 _ - . may be used.
	Name string

	// Namespaces starts workers in Linux namespaces of their own: of processes, IPC,
	// names, mounts and network, and of users unless this process is root's. They add
	// about a millisecond and a half to each start, and put a second wall behind the
	// sandbox that workers have anyway. Linux only.
	Namespaces bool

	// Replace is what a [Reusable] does with the old executor when these options
	// replace it. It is not compared.
	Replace Replacement

	// ResultCache is how many bytes of results are kept of functions that are
	// declared [Func.Pure]. Zero means 64 MiB, negative none.
	ResultCache int64

	// ResultReducers are what puts values of some types back into outputs when those
	// are decoded: loky's result_reducers. Nil means JobReducers.
	ResultReducers *serialize.Reducers

	// Retries is how often a call that is declared [Func.Idempotent] is run again
	// after its worker has died. Zero means 2, negative never.
	Retries int

	// Sandbox is what it means when the system lacks something of the sandbox that
	// workers put themselves in.
	Sandbox SandboxMode

	// Standby is how many spare workers are kept besides Workers, started and with
	// the most used module loaded, to take over at once where a worker is lost or has
	// to be replaced. With snapshots they also have an instance ready, for which they have called the
	// guest's describe function; where IsolateTenants holds and several tenants have had calls they have
	// not, as they are for any of them. New starts them in the background. Zero means none.
	Standby int

	// StartMethod is how calls get their instance unless their Func says. Empty
	// means what [startmethod.Default] returns when the executor is made.
	StartMethod startmethod.Method

	// TenantPending is the most calls of one tenant that wait for a worker at a time,
	// as MaxPending is of all. Zero means no bound.
	TenantPending int

	// TenantWorkers is the most workers that serve one tenant at a time. Zero means
	// no bound: tenants share the workers fairly, and one that is alone gets them all.
	TenantWorkers int

	// TrustedKeys are the keys whose modules may be called: any other is refused with a
	// *serialize.ModuleError of kind serialize.Signature, whatever it is called for. A
	// module counts as that of its [serialize.Module.SignedBy], so it has to be loaded
	// by a [serialize.Trust] with one of these keys. Nil, the default, takes any module;
	// a list that is empty and not nil takes none.
	TrustedKeys []ed25519.PublicKey

	// WarmUp lists calls that are made of a module before its image is captured, for
	// [startmethod.Snapshot] and Warm: what they leave in memory, such as caches, every
	// call then starts with. Their output is dropped. A module that does not register one of
	// them, or fails in it, has no image and runs [startmethod.Precompiled]. At most 64.
	WarmUp []WarmUp

	// WorkerAge is how long a worker serves before it is replaced. Zero means ten
	// minutes, negative no bound.
	WorkerAge time.Duration

	// WorkerGID is the group of WorkerUID. Zero means the same number.
	WorkerGID uint32

	// WorkerGrowth is how much a worker's resident memory may grow, in bytes, over
	// what it was after the last module was loaded. A worker that stays above it
	// after a garbage collection is replaced (loky's leak guard). Zero means 300 MB,
	// negative no bound. Linux only.
	WorkerGrowth int64

	// WorkerPath is the program to start as worker; it must call wasmworker.Main
	// and be built with the same version of Sandpool. Empty means this program.
	WorkerPath string

	// WorkerUID is a user that workers run as instead of this process's, which has to be
	// root's then. It should have no files and no other processes. Zero means this
	// process's own user. Linux only.
	WorkerUID uint32

	// Workers is the most worker processes that serve calls at a time, not counting
	// those that have been killed and are about to end, nor those whose call waits for
	// nested ones. Zero means [CPUCount]. Negative is an error, and so is more than
	// 2000: each busy worker holds one thread of the host.
	Workers int
}

// NoCacheDir as [Options.CacheDir] keeps nothing on disk.
const NoCacheDir = "none"

// A Switch turns something on or off, or leaves the choice to the executor.
type Switch int

// The positions of a Switch.
const (
	Off  Switch = iota - 1
	Auto        // as the option says; the zero value
	On
)

// A CrashPolicy is what the death of a worker process means.
type CrashPolicy int

const (
	// Contain fails the call that the worker was running and no other; the worker is
	// replaced. It is the zero value.
	Contain CrashPolicy = iota
	// Break is loky's rule: the death of any worker, also of an idle one, breaks the
	// executor. Every call fails with an error that wraps [ErrBroken] and the
	// *WorkerError, also those that come later. Workers that the executor
	// kills itself, at a deadline say, do not count.
	Break
)

// A Replacement is what becomes of an executor that a [Reusable] replaces.
type Replacement int

const (
	// Drain lets its calls come to their end, in the background. It is the zero value.
	Drain Replacement = iota
	// Kill ends its calls with [ErrShutdown].
	Kill
)

// A WarmUp is one call of [Options.WarmUp]; its fields are those of [Initializer].
type WarmUp struct {
	Name  string
	Input any
}

// An Initializer is a function that every new instance runs once before its
// call, to set it up. Where instances are clones of an image it runs once before that is
// captured. The module must register it as it does others, and a module
// that does not cannot be called. Its time counts as the call's. When it
// fails, so does the call, with a [*StartError] of stage "initializer" that wraps the
// *GuestError.
type Initializer struct {
	// Name is the registered name. Empty means no initializer.
	Name string
	// Input is what it is called with: []byte as it is, everything else, nil too,
	// encoded with Options.Codec. At most 1 MiB.
	Input any
}
