// Package guestabi holds the names and numbers of guest/ABI.md, version 1, for
// host and worker. The guest SDK does not import it: a guest is built from its
// own few constants.
package guestabi

// Names of the interface.
const (
	ImportModule   = "sandpool_v1"
	ExportCall     = "sandpool_v1_call"
	ExportDescribe = "sandpool_v1_describe"
	ExportInit     = "_initialize"
	ExportRestored = "sandpool_v1_restored" // optional
	ExportStart    = "_start"               // of a WASI command
	WASI           = "wasi_snapshot_preview1"
)

// Codes of a failed call. Up to CodeOutput the guest says so itself; the others
// are what the worker saw.
const (
	CodeError  uint32 = 1
	CodeInput  uint32 = 2
	CodePanic  uint32 = 3
	CodeOutput uint32 = 4
	CodeTrap   uint32 = 5
	CodeExit   uint32 = 6
)

// Codecs of an input or output.
const (
	CodecRaw  uint32 = 0
	CodecCBOR uint32 = 1
	CodecJSON uint32 = 2
	// CodecNamed is the first of the numbers that a host gives codecs as it likes: a
	// guest asks for the name with codec_name.
	CodecNamed uint32 = 16
)

// What host_call returns.
const (
	HostOK      uint32 = 0 // the answer is the host function's output
	HostFailed  uint32 = 1 // the answer is the host function's error text
	HostMissing uint32 = 2 // this guest has no such host function; the answer says so
)

// Host functions of the host's own, which calls with streams are granted. No other's name
// begins with ReservedPrefix.
const (
	ReservedPrefix = "sandpool."
	StreamRead     = ReservedPrefix + "read"
	StreamWrite    = ReservedPrefix + "write"
)

// MaxHostName is the longest name that host_call looks at, in bytes.
const MaxHostName = 128

// Names of the limits, as executor.LimitError shows them.
const (
	LimitWall   = "wall"
	LimitMemory = "memory"
	LimitInput  = "input"
	LimitOutput = "output"
	LimitLog    = "log"
	LimitCPU    = "cpu"
	LimitStack  = "stack"
	LimitFuel   = "fuel"
	LimitStdout = "stdout"
	LimitStderr = "stderr"

	LimitHostCalls = "hostcalls"
)

// A Function is one entry of a module's description.
type Function struct {
	Name string `json:"name"`
	In   string `json:"in"`
	Out  string `json:"out"`
}

// A Description is what a guest says of itself.
type Description struct {
	SDK       string     `json:"sdk"`
	Functions []Function `json:"functions"`
	Host      []Function `json:"host,omitempty"` // host functions that it calls
}
