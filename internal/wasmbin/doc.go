// Package wasmbin reads core WebAssembly modules without trusting them, and
// rewrites them so that their instances can be restored.
//
//	m, err := wasmbin.Scan(b)
//	if e, ok := errors.AsType[*wasmbin.Error](err); ok && e.Kind == wasmbin.Limit {
//		// well formed so far, but beyond what a worker should be asked to compile
//	}
//	if exp := m.Export("add"); exp != nil && exp.Func != nil {
//		fmt.Println(exp.Name, exp.Func) // add (i32, i32) -> (i32)
//	}
//
// A module of fifteen bytes can claim four thousand million exports, and a
// decoder that believes the claim takes the process, or the machine, with it.
// The host therefore never hands guest bytes to a WebAssembly runtime: it reads
// them with [Scan], which checks every claim against the bytes that are there,
// before it allocates, and refuses what browsers refuse (see [MaxTypes] and the
// other limits). What passes goes to a worker process, which compiles it under
// limits of its own: Scan makes the cheap attacks fail early, it does not
// replace that process.
//
// # What is checked
//
// The header, the order, uniqueness and size of the sections, every count,
// every name (UTF-8, length), every LEB128 number (length, overflow), the
// indices of types, functions, exports and the start function, and the body of
// each function: every instruction must be known, blocks must nest, and the
// final end must be the last byte. Operand types are not checked, nor are
// indices inside bodies, nor alignments: the compiler does that, and its answer
// costs no more than an error. The name section is checked like the others
// because the runtime decodes it too.
//
// # What is understood
//
// WebAssembly 2.0 (which includes SIMD, bulk memory and reference types) and
// the proposals the workers' runtime can enable: threads, tail calls, exception
// handling with exnref, extended constant expressions and typed function
// references; [Module.Features] lists which of these a module needs. Anything
// else is refused with a reason, on purpose including relaxed SIMD: the runtime
// reads a SIMD opcode as one byte, so an opcode above 0xff would mean one thing
// here and another there.
//
// # What is rewritten
//
// A worker that runs many calls in one instance brings it back to a known state
// between them. The runtime shows it the memory and what is exported, nothing
// else, so [Prepare] makes a module of which that is the whole state:
//
//   - Active data segments are taken out ([Prepared.Data]): the worker puts them
//     into an image of the memory once, instead of the runtime for each instance.
//   - Mutable globals that code sets are exported under [GlobalName].
//   - The start function is exported as [StartName] and no longer run by
//     instantiation, which then leaves the memory and the globals alone.
//   - A memory with a declared maximum may grow one page beyond it. The worker
//     shrinks a grown memory in the course of a call to grow it, and that call
//     must not fail before it reaches the worker's allocator, which holds the
//     guest to what it declared.
//
// All else stays as it was, byte for byte. A module has state beyond that, and
// is unfit, if its code changes a table, drops a segment or sets a global that
// is no number; if it imports a memory, a table or a mutable global; and if it
// uses threads. It is unfit, too, if its data segments cannot be placed without
// the runtime: at an offset that is no i32.const, or outside the initial memory,
// where instantiation must fail; if code copies from one, which the runtime
// allows, unlike the specification; or if they are spread thin over a large memory,
// which the host would have to hold. Tables that code does not change may even be
// exported: the host leaves them alone.
//
// [Instrument] adds to code, of such a module or any other, what lets a worker end it while
// it runs, bound its stack and count what it executes. That is a step of its own: each mode
// makes another binary.
//
// A rewritten module is valid if and only if the original is. Nothing here
// validates operands or indices in bodies, so Prepare never removes or adds what
// the compiler would find fault with.
//
// # Errors
//
// An error of Scan is an [*Error]; its [Kind] says whether the bytes are no core
// module at all ([NotWasm]), stop too early ([Truncated]), break the format
// ([Malformed]) or exceed a limit ([Limit]). Prepare returns the same, and an
// [*UnfitError] for a module that can run but not be restored.
package wasmbin
