// Package guesttest makes guests for tests: Go guests compiled on demand, and
// tiny modules put together byte by byte.
//
//	wasm := guesttest.Bytes(t, "fixture") // testdata/fixture, built once
//	tiny := guesttest.TinyEcho()          // no toolchain, 402 bytes
//
// # Go guests
//
// [Build], [BuildDir] and [Bytes] run the go command. The guest testdata/fixture
// registers a function for each behaviour a test may need, from echo to an
// endless loop; its source is the list of them.
//
// # Tiny modules
//
// A [Module] assembles any module; the Tiny functions return finished ones. A
// tiny module that implements the guest interface has one function, index 0,
// with raw bytes in and out; its name is the Tiny function's in lower case.
package guesttest
