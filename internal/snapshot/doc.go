// Package snapshot keeps instances as they were: an [Image] is what a linear
// memory starts as, a [Memory] is one instance's copy-on-write view of it, and an
// [Instance] is brought back in place between calls.
//
//	mem := snapshot.NewMemory(snapshot.Config{Image: image, Limit: 64 << 20, Pages: pages})
//	mod, err := r.InstantiateModule(experimental.WithMemoryAllocator(ctx, mem), compiled, config)
//	in, err := snapshot.NewInstance(mod, mem, globals)
//	err = in.Apply(state)    // once, for the new clone
//	in.Reseed(state, random) // before each call
//	…                        // the call
//	err = in.Restore(state)  // after it; an error means a new clone
//
// A page that the guest wrote to is a private page of its process, and the kernel
// tells which those are ([Pages]). Only they are copied back, so that a restore
// costs by what a call touched and not by what the guest has. The kernel is not asked
// again while the process has had no page fault, since no other page can have become
// private then. Where the kernel does not tell, all of the image is copied.
//
// Only memory, mutable numeric globals and Go's random generators are brought
// back. Tables, dropped segments and references are out of reach: package
// wasmbin finds the modules that change those.
//
// # Processes and goroutines
//
// Images and Pages are safe for concurrent use. A Memory and its Instance belong
// to one goroutine at a time. The package starts none.
package snapshot
