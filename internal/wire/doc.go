// Package wire is the framing between a host and its worker processes, as
// docs/protocol.md writes it down: a 32 byte little-endian header and a raw
// payload, over pipes.
//
// Nothing here trusts its peer: a header is checked for version, type and
// length before a byte of the payload is read, and a payload's buffer grows with
// what has arrived, not with what was promised.
package wire
