package wire

import (
	"encoding/binary"
	"fmt"
)

// Version is the protocol's version, carried in every header. Host and worker
// are the same program unless a separate worker binary is used, so there is no
// negotiation: another version is refused with a [*VersionError].
const Version = 1

// HeaderSize is the encoded size of a [Header] in bytes.
const HeaderSize = 32

// Type says what a frame is. Types below 0x80 go from host to worker, the
// others from worker to host.
type Type uint8

// The frames of protocol version 1; docs/protocol.md has their fields.
const (
	TypeHello   Type = 0x01 // host's half of the handshake
	TypeLoad    Type = 0x02 // bind a function of a module to a slot
	TypeBlob    Type = 0x03 // part of a module or of its compiled entry
	TypeUnload  Type = 0x04 // free a slot
	TypeCall    Type = 0x05 // run the slot's function on the payload
	TypeHostRet Type = 0x06 // answer to a TypeHostCall
	TypeRevoke  Type = 0x07 // drop calls that have not begun; travels on the control pipe
	TypeCollect Type = 0x08 // give memory back to the system
	TypeCapture Type = 0x09 // capture an image of the slot's module
	TypeStop    Type = 0x0a // end a call that runs; travels on the control pipe

	TypeReady     Type = 0x81 // worker's half of the handshake
	TypeLoaded    Type = 0x82 // answer to TypeLoad
	TypeEntry     Type = 0x83 // part of a compiled entry, from a template
	TypeResult    Type = 0x84 // a call's output
	TypeFail      Type = 0x85 // why a load or a call gave no result
	TypeHostCall  Type = 0x86 // the running guest calls a host function
	TypeRevoked   Type = 0x87 // answer to TypeRevoke
	TypeCollected Type = 0x88 // answer to TypeCollect
	TypeImage     Type = 0x89 // part of an image, from a template
	TypeCaptured  Type = 0x8a // answer to TypeCapture
	TypeUsage     Type = 0x8b // what a call has taken, ahead of its answer
	TypeOutput    Type = 0x8c // a part of a call's output, ahead of its answer
)

var typeNames = map[Type]string{
	TypeHello: "HELLO", TypeLoad: "LOAD", TypeBlob: "BLOB", TypeUnload: "UNLOAD", TypeCall: "CALL", TypeHostRet: "HOSTRET",
	TypeRevoke: "REVOKE", TypeCollect: "COLLECT",
	TypeReady: "READY", TypeLoaded: "LOADED", TypeEntry: "ENTRY", TypeResult: "RESULT", TypeFail: "FAIL", TypeHostCall: "HOSTCALL",
	TypeRevoked: "REVOKED", TypeCollected: "COLLECTED",
	TypeStop: "STOP", TypeUsage: "USAGE", TypeOutput: "OUTPUT",
	TypeCapture: "CAPTURE", TypeImage: "IMAGE", TypeCaptured: "CAPTURED",
}

// String returns the name that docs/protocol.md uses.
func (t Type) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return fmt.Sprintf("type 0x%02x", uint8(t))
}

// Host functions, as [Header.Slot] of a TypeHostCall names them.
const (
	// HostLog is one log line of the guest: Code holds the level (an int32) and
	// Flags the stream it came from.
	HostLog uint32 = 0
	// HostFirst is the first function of [Load.Host]; the others follow in order.
	HostFirst uint32 = 1
	// HostShow asks for another piece of what is too long for its window in the arena: Time
	// says from where on, in bytes, and Code of what.
	HostShow uint32 = 1<<32 - 1
)

// What a HostShow is of, in [Header.Code].
const (
	ShowInput  uint32 = 0 // the call's input
	ShowAnswer uint32 = 1 // the payload of the last TypeHostRet that was in the arena
)

// Outcomes of a host function, in [Header.Code] of a TypeHostRet.
const (
	HostOK     uint32 = 0 // the payload is its output
	HostFailed uint32 = 1 // the payload is its error's text
	// HostStopped ends the call instead: it has been stopped.
	HostStopped uint32 = 2
)

// Streams of a HostLog, in [Header.Flags].
const (
	StreamLog    uint16 = 0 // the log function of the guest interface
	StreamStdout uint16 = 1 // a line of the guest's standard output
	StreamStderr uint16 = 2 // a line of the guest's standard error
)

// FlagDescribe on a CALL asks for the module's description instead of a
// function's result.
const FlagDescribe uint16 = 1

// FlagStdin on a CALL says that the payload begins with standard input: its length
// in 4 bytes, little-endian, and its bytes. The input follows.
const FlagStdin uint16 = 2

// FlagCommand on a CALL runs the module as a WASI command: the input is a [Command],
// the output a [CommandResult].
const FlagCommand uint16 = 4

// FlagArena says that a payload is in the arena of the shared memory. On a CALL or a HOSTRET
// what follows the header is how many bytes it has, see [ArenaPayload]; the window shows the first of
// them. The payload of a frame to the host is in the arena's stream: see [Reader.UseArena].
const FlagArena uint16 = 8

// FlagMore on a CALL says that others follow at once: where frames travel through shared
// memory the worker need not wake the host with this one's answer, only with the last one's. A
// host that sets it looks by itself now and then.
const FlagMore uint16 = 16

// ArenaPayload is the size of what follows the header of a frame to the worker with
// FlagArena: a little-endian number of 64 bits.
const ArenaPayload = 8

// ArenaFrom is the smallest payload that goes through an arena, in bytes.
const ArenaFrom = 4 << 10

// Sizes that both sides keep to, in bytes.
const (
	MaxControl     = 64 << 10         // a CBOR payload: HELLO, READY, LOADED
	MaxLoad        = 2 << 20          // a LOAD payload, which carries an initializer's input
	MaxFail        = 512 << 10        // a FAIL payload: message, stack and standard error, each cut
	MaxLogLine     = 64 << 10         // a log line
	LogLineCost    = 16               // what a log line counts besides its bytes: empty ones are not free
	MaxChunk       = 1 << 20          // the payload of a BLOB, ENTRY or IMAGE
	MaxDescription = 1 << 20          // a module's description
	MaxEntry       = 1 << 30          // a compiled entry as a whole
	MaxPayload     = 1<<32 - 1 - 4096 // a CALL's input, a RESULT's output or a HOSTRET
)

// UsageSize is the size of a USAGE's payload: processor time in nanoseconds, then fuel,
// each a little-endian number of 64 bits.
const UsageSize = 16

// MaxStrings is how many entries [Load.Args] and [Load.Env] may have at most.
const MaxStrings = 1000

// MaxHostNames is how many entries [Load.Host] may have at most: 64 that a user grants, and
// the two of streams.
const MaxHostNames = 64 + 2

// Bounds of an image.
const (
	MaxGlobals = 1000 // [Layout.Globals] and [Image.Globals]
	MaxRandom  = 64   // [Image.Random]
	ImagePage  = 4096 // what [Header.Code] of a TypeImage counts offsets in, in bytes
)

// A Header precedes every payload. Fields that a type does not name are zero.
type Header struct {
	Length uint32 // b[0:4]   payload bytes that follow the header
	Type   Type   // b[5]     after the version in b[4]
	Flags  uint16 // b[6:8]
	ID     uint64 // b[8:16]  the call, counted by the host for each worker from 1
	Slot   uint32 // b[16:20] the slot of a LOAD, UNLOAD or CALL
	Code   uint32 // b[20:24]
	Time   int64  // b[24:32] nanoseconds
}

// AppendTo appends the encoded header to b, for a frame without payload that
// travels outside a [Writer].
func (h Header) AppendTo(b []byte) []byte {
	at := len(b)
	b = append(b, make([]byte, HeaderSize)...)
	h.put(b[at:])
	return b
}

// put encodes h into the first HeaderSize bytes of b.
func (h Header) put(b []byte) {
	binary.LittleEndian.PutUint32(b[0:], h.Length)
	b[4] = Version
	b[5] = byte(h.Type)
	binary.LittleEndian.PutUint16(b[6:], h.Flags)
	binary.LittleEndian.PutUint64(b[8:], h.ID)
	binary.LittleEndian.PutUint32(b[16:], h.Slot)
	binary.LittleEndian.PutUint32(b[20:], h.Code)
	binary.LittleEndian.PutUint64(b[24:], uint64(h.Time))
}

// parse decodes the first HeaderSize bytes of b; the version is the caller's to
// check.
func parse(b []byte) Header {
	return Header{
		Length: binary.LittleEndian.Uint32(b[0:]),
		Type:   Type(b[5]),
		Flags:  binary.LittleEndian.Uint16(b[6:]),
		ID:     binary.LittleEndian.Uint64(b[8:]),
		Slot:   binary.LittleEndian.Uint32(b[16:]),
		Code:   binary.LittleEndian.Uint32(b[20:]),
		Time:   int64(binary.LittleEndian.Uint64(b[24:])),
	}
}

// A VersionError reports a peer that speaks another protocol version.
type VersionError struct {
	Got uint8
}

// Error names both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("peer speaks protocol version %d, this program %d", e.Got, Version)
}

// A FrameError reports a frame that its reader does not accept: a type that
// does not belong here, or a length over the type's limit.
type FrameError struct {
	Type   Type
	Length uint32
	Max    uint32 // the limit in force; 0 when the type itself is wrong
}

// Error says which of the two it was.
func (e *FrameError) Error() string {
	if e.Max == 0 {
		return fmt.Sprintf("unexpected %s frame of %d bytes", e.Type, e.Length)
	}
	return fmt.Sprintf("%s frame of %d bytes exceeds %d", e.Type, e.Length, e.Max)
}
