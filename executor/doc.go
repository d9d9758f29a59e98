// Package executor runs functions compiled to WebAssembly in sandboxed worker
// processes and returns futures.
//
//	func main() {
//		wasmworker.Main() // serves and exits when this process is a worker
//		mod, err := serialize.LoadModule("wordcount.wasm")
//		if err != nil { … }
//		ex, err := executor.New(nil)
//		if err != nil { … }
//		defer ex.Close()
//
//		count := executor.Func[string, map[string]int]{Module: mod, Name: "count"}
//		words, err := executor.Submit(ctx, ex, count, "a text").Wait(ctx)
//		for words, err := range executor.Map(ctx, ex, count, slices.Values(texts)) { … }
//	}
//
// # Processes and goroutines
//
// An [Executor] owns at most [Options.Workers] worker processes that serve calls,
// started when calls need them, [Options.Standby] spare ones, and one goroutine for
// each; a process that compiles a module or captures an image joins them for a moment, and a call that waits
// for nested ones makes room for another worker. All have ended when [Executor.Close], or an
// [Executor.Shutdown] that returns nil, returns. Host functions and [Future.OnDone]'s callbacks run on
// goroutines of their own, which nobody waits for. A worker never outlives its host,
// whichever way that ends. An Executor that is no longer reachable and has no call
// left is closed by the garbage collector's cleanup.
//
// # Order
//
// Nested calls go first. Other calls are taken from tenants in turn, the one with the
// fewest workers first; of one tenant by [Func.Priority], and then in the order of
// Submit. Calls that start together may end in any order.
//
// Everything here is safe for concurrent use unless it says otherwise.
//
// # Errors
//
// What is wrong before a call starts: [ErrNoWorkerHook] and [*OptionError] from
// New; [ErrShutdown], [ErrQueueFull], [ErrMaxDepth], [ErrBroken],
// [*serialize.ModuleError], [*serialize.Error] and [*LimitError]
// for a future that could not be queued. While it runs: [*GuestError] when the
// guest fails and [*LimitError] when it reaches a limit, both of which the worker
// survives; [*WorkerError] when the worker's process died holding the call;
// [*StartError] when no worker could be started or [Options.Initializer] failed. A call whose context ends returns
// the context's cause. Each future gets an error value of its own.
package executor
