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
// An [Executor] owns at most [Options.Workers] worker processes, started when
// calls need them, and one goroutine for each; a process that compiles a module
// joins them for a moment. All have ended when [Executor.Close], or an
// [Executor.Shutdown] that returns nil, returns. A worker never outlives its host,
// whichever way that ends. An Executor that is no longer reachable and has no call
// left is closed by the garbage collector's cleanup.
//
// Everything here is safe for concurrent use unless it says otherwise.
//
// # Errors
//
// What is wrong before a call starts: [ErrNoWorkerHook] and [*OptionError] from
// New; [ErrShutdown], [*serialize.ModuleError], [*serialize.Error] and [*LimitError]
// for a future that could not be queued. While it runs: [*GuestError] when the
// guest fails and [*LimitError] when it reaches a limit, both of which the worker
// survives; [*WorkerError] when the worker's process died holding the call;
// [*StartError] when no worker could be started. A call whose context ends returns
// the context's cause. Each future gets an error value of its own.
package executor
