package wire

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Role is what a worker process is started for.
type Role string

// The two roles.
const (
	RoleWorker   Role = "worker"   // serves calls until its pipes close
	RoleTemplate Role = "template" // compiles one module, or captures one image of it, answers and exits
)

// Hello is the payload of a HELLO frame.
type Hello struct {
	Role   Role   `cbor:"role"`
	Data   uint64 `cbor:"data"`            // bytes of private memory the worker may add (RLIMIT_DATA)
	Engine string `cbor:"engine"`          // the host's wazero version; another one refuses
	Image  uint64 `cbor:"image,omitempty"` // bytes of an image that a template may write (RLIMIT_FSIZE)

	Dirs     []Dir  `cbor:"dirs,omitempty"`     // directories that guests of this worker may be given
	FileSize uint64 `cbor:"filesize,omitempty"` // bytes up to which files may be written there (RLIMIT_FSIZE)

	Ring bool `cbor:"ring,omitempty"` // the descriptor of shared memory came ahead

	Sandbox string `cbor:"sandbox,omitempty"` // SandboxOff: without the filters; empty for all that the system has
	Threads uint64 `cbor:"threads,omitempty"` // that the worker's user may have in its namespace (RLIMIT_NPROC); 0 for no bound
}

// A Dir is a directory of the host that guests may use.
type Dir struct {
	Host     string `cbor:"host"`
	Guest    string `cbor:"guest"` // path where they find it
	Writable bool   `cbor:"writable,omitempty"`
}

// SandboxOff as [Hello.Sandbox] leaves out what a debugger could not work with.
const SandboxOff = "off"

// Ready is the payload of a READY frame.
type Ready struct {
	Engine  string   `cbor:"engine"`            // the worker's wazero version
	InForce []string `cbor:"inforce"`           // sandbox mechanisms that are active, by name
	Missing []string `cbor:"missing,omitempty"` // mechanisms that could not be put in force, "name: reason"
	NoCache bool     `cbor:"nocache,omitempty"` // this build cannot take compiled entries from memory
	Ring    bool     `cbor:"ring,omitempty"`    // all frames from now on go through the shared memory
	NoDirs  string   `cbor:"nodirs,omitempty"`  // why there are no directories, though HELLO has some
}

// Load is the payload of a LOAD frame: it binds a slot to one function of one
// module, run in one way. The module's bytes follow the first LOAD of its
// digest in a worker.
type Load struct {
	Source    []byte   `cbor:"source"`             // SHA-256 of the module as its user has it
	Digest    []byte   `cbor:"digest"`             // SHA-256 of its bytes as they are sent: modules that differ in data alone have the same
	Function  string   `cbor:"function,omitempty"` // registered name
	Method    string   `cbor:"method"`             // start method
	Memory    uint64   `cbor:"memory"`             // linear memory limit in bytes
	Output    uint64   `cbor:"output"`             // output limit in bytes
	LogBytes  uint64   `cbor:"logbytes"`           // log lines of one call in bytes
	Inline    bool     `cbor:"inline,omitempty"`   // blobs follow as BLOB frames instead of descriptors
	Module    uint64   `cbor:"module,omitempty"`   // size of the module's bytes; 0 when the worker has them
	Bare      bool     `cbor:"bare,omitempty"`     // the module comes without its functions' code, which is in the compiled entry
	Entry     uint64   `cbor:"entry,omitempty"`    // size of the compiled entry; 0 when there is none
	EntryName []byte   `cbor:"key,omitempty"`      // the key under which wazero looks the entry up
	Host      []string `cbor:"host,omitempty"`     // host functions the calls may call: number HostFirst + index
	Init      string   `cbor:"init,omitempty"`     // registered function to run in each new instance before the call
	InitInput []byte   `cbor:"initinput,omitempty"`
	InitCodec uint32   `cbor:"initcodec,omitempty"` // codecs as in a CALL: input in bits 0–7, output in bits 8–15
	Layout    *Layout  `cbor:"layout,omitempty"`    // how the module was rewritten; nil for one that was not
	Base      uint64   `cbor:"base,omitempty"`      // size of what memory starts as; 0 when there is none, or the worker has it
	Class     uint64   `cbor:"class,omitempty"`     // calls of one class may share a warm instance; counted by the host
	Image     *Image   `cbor:"image,omitempty"`     // what instances start as; nil when they are initialised one by one
	ImageSent bool     `cbor:"imagesent,omitempty"` // the image's bytes come along
	Seed      uint64   `cbor:"seed,omitempty"`      // of the guest's random numbers; 0 for the system's
	Codecs    []string `cbor:"codecs,omitempty"`    // names of the codecs guestabi.CodecNamed + index
	HostCalls uint64   `cbor:"hostcalls,omitempty"` // host functions that one call may run, the log not counted
	Args      []string `cbor:"args,omitempty"`      // arguments of the guest, its name first
	Env       []string `cbor:"env,omitempty"`       // environment of the guest, each entry "KEY=value"
	Clock     *Clock   `cbor:"clock,omitempty"`     // how the guest sees the time; nil for as it is
	Dirs      bool     `cbor:"dirs,omitempty"`      // the guest gets the directories of HELLO
	FileSize  uint64   `cbor:"filesize,omitempty"`  // bytes up to which one call may write files there
	CPU       uint64   `cbor:"cpu,omitempty"`       // processor time of one call in nanoseconds; 0 for no limit of its own
	Stack     uint64   `cbor:"stack,omitempty"`     // functions on the stack of instrumented code; 0 for no limit
	Fuel      uint64   `cbor:"fuel,omitempty"`      // of one call, in code that counts; 0 for no limit
	Stdout    uint64   `cbor:"stdout,omitempty"`    // standard output of one call in bytes
	Stderr    uint64   `cbor:"stderr,omitempty"`    // standard error of one call in bytes
	Meter     bool     `cbor:"meter,omitempty"`     // a USAGE is wanted ahead of each answer
}

// A Clock is how a guest sees the time.
type Clock struct {
	Fixed      bool   `cbor:"fixed,omitempty"`
	Start      uint64 `cbor:"start,omitempty"`      // the time of every reading when it is fixed, in nanoseconds since 1970
	Resolution uint64 `cbor:"resolution,omitempty"` // nanoseconds that readings are rounded to; 0 for none
}

// A Layout says what the host has done to a module so that its instances can be
// restored.
type Layout struct {
	Globals  int    `cbor:"globals"`            // globals to restore, by the names of wasmbin.GlobalName
	Start    bool   `cbor:"start,omitempty"`    // the start function is the export wasmbin.StartName
	MaxPages uint64 `cbor:"maxpages,omitempty"` // the memory's own maximum
}

// An Image is the state that instances start from: a memory, whose bytes travel by
// themselves, and all else.
type Image struct {
	Number  uint64   `cbor:"number"` // counted by the host
	Size    uint64   `cbor:"size"`   // of memory in bytes
	Globals []uint64 `cbor:"globals,omitempty"`
	Random  []uint32 `cbor:"random,omitempty"`  // where generators of random numbers lie that are to be seeded anew
	Streams uint32   `cbor:"streams,omitempty"` // what the guest has done to its standard streams
	Elapsed uint64   `cbor:"elapsed,omitempty"` // by how much it has moved a fixed clock, in nanoseconds
}

// Capture is the payload of a CAPTURE frame. On systems without descriptors the
// image comes back as IMAGE frames, else it is written to the file that comes along.
type Capture struct {
	WarmUp []WarmUp `cbor:"warmup,omitempty"`
	Inline bool     `cbor:"inline,omitempty"`
}

// A WarmUp is a call that is made before the capture, its output dropped.
type WarmUp struct {
	Function string `cbor:"function"`
	Input    []byte `cbor:"input,omitempty"`
	Codec    uint32 `cbor:"codec,omitempty"`
}

// Captured is the payload of a CAPTURED frame. Unfit is why instances of the module
// cannot be restored after all; then there is no image.
type Captured struct {
	Image Image  `cbor:"image"`
	Unfit string `cbor:"unfit,omitempty"`
}

// Loaded is the payload of a template's LOADED frame; a worker's is empty. ENTRY
// frames with Entry bytes in all follow.
type Loaded struct {
	Entry     uint64 `cbor:"entry"`
	EntryName []byte `cbor:"key"`
}

// Failure is the payload of a FAIL frame. [Header.Code] holds the Kind.
type Failure struct {
	Message string `cbor:"message,omitempty"`
	Guest   uint32 `cbor:"guest,omitempty"` // KindGuest: executor.Code
	Exit    uint32 `cbor:"exit,omitempty"`  // KindGuest: the exit code
	Stack   string `cbor:"stack,omitempty"`
	Stderr  string `cbor:"stderr,omitempty"` // tail of the guest's standard error
	Limit   string `cbor:"limit,omitempty"`  // KindLimit: its name
	Max     uint64 `cbor:"max,omitempty"`
	Used    uint64 `cbor:"used,omitempty"`
	Module  uint32 `cbor:"module,omitempty"` // KindModule: serialize.ModuleErrorKind
	Name    string `cbor:"name,omitempty"`   // KindModule: the export or import meant
	Init    bool   `cbor:"init,omitempty"`   // the initializer failed, the call did not begin
}

// A Command is the input of a CALL that runs one.
type Command struct {
	Args []string `cbor:"args,omitempty"` // its name first
	Env  []string `cbor:"env,omitempty"`  // each entry "KEY=value"
}

// A CommandResult is the output of a CALL that runs a command.
type CommandResult struct {
	ExitCode uint32 `cbor:"ExitCode"`
	Stderr   []byte `cbor:"Stderr"`
	Stdout   []byte `cbor:"Stdout"`
}

// Kinds of failure, in [Header.Code] of a FAIL frame.
const (
	KindGuest    uint32 = 1 // the guest failed: error, panic, trap, exit
	KindLimit    uint32 = 2 // a limit was reached
	KindModule   uint32 = 3 // the module cannot serve the call
	KindInternal uint32 = 4 // the worker itself failed and exits
	KindStopped  uint32 = 5 // the host has stopped the call
)

var (
	encMode = func() cbor.EncMode {
		m, err := cbor.CoreDetEncOptions().EncMode()
		if err != nil {
			panic(err) // the options are constants
		}
		return m
	}()
	decMode = func() cbor.DecMode {
		m, err := cbor.DecOptions{
			DupMapKey:         cbor.DupMapKeyEnforcedAPF,
			IndefLength:       cbor.IndefLengthForbidden,
			MaxNestedLevels:   8,
			MaxArrayElements:  MaxGlobals,
			MaxMapPairs:       64,
			TagsMd:            cbor.TagsForbidden,
			FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
			ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		}.DecMode()
		if err != nil {
			panic(err) // the options are constants
		}
		return m
	}()
)

// Marshal encodes one of the messages above.
func Marshal(v any) ([]byte, error) {
	b, err := encMode.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return b, nil
}

// mapType is CBOR's major type of maps, in the high bits of the first byte.
const mapType = 5

// Unmarshal decodes one of the messages above, refusing anything but a map,
// unknown members, duplicate keys, tags and indefinite lengths.
func Unmarshal(b []byte, v any) error {
	if len(b) > 0 && b[0]>>5 != mapType {
		return fmt.Errorf("decode %T: not a map", v) // the codec takes a null for any message
	}
	if err := decMode.Unmarshal(b, v); err != nil {
		// Not wrapped: the codec's io.ErrUnexpectedEOF is no end of the stream.
		return fmt.Errorf("decode %T: %v", v, err) //nolint:errorlint // see above
	}
	return nil
}
