// Package serialize turns what a call needs into bytes: the [Module] that holds
// its function, and its input and output.
//
//	mod, err := serialize.LoadModule("wordcount.wasm")
//
// A module is shipped to each worker once and named by its SHA-256 digest from
// then on. Values travel as raw bytes when they are a []byte, and as CBOR
// (RFC 8949) otherwise. [Reducers] say what values of a type travel as,
// wherever they are in a value.
//
// # Limits
//
// A value that is cyclic or nested too deep is not encoded. What comes from a guest
// is hostile: [Reducers.Decode] takes a bound on the memory that a value may
// take, and checks it before the value is made: see [BoundError].
//
// # Errors
//
// A module that is refused is a [*ModuleError], a value that cannot be encoded
// or decoded a [*Error].
package serialize
