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
// testdata/heavy does much work in its initialization.
//
// # C guests
//
// [BuildC] and [BytesC] run clang with wasi-libc, for what a guest without a
// runtime of its own does: testdata/cstate.
//
// # Guests that remember
//
// testdata/state, testdata/cstate and [TinyState] change everything that a guest
// can, and report what they find changed; see [State].
//
// # Tiny modules
//
// A [Module] assembles any module; the Tiny functions return finished ones. A
// tiny module that implements the guest interface has one function, index 0,
// with raw bytes in and out; its name is the Tiny function's in lower case.
package guesttest
