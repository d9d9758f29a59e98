// Package wasmworker is the worker's side of Sandpool: the hook that turns a
// program into its own worker, and what runs there.
//
//	func main() {
//		wasmworker.Main() // first line: a worker serves and exits here
//		// … the program itself
//	}
//
// A host starts workers by executing its own program again with a marker in the
// environment. [Main] looks for that marker: in a worker it sandboxes the
// process, serves calls and never returns; anywhere else it returns at once,
// having noted that the program has the hook, without which
// [github.com/sandpool/sandpool/executor.New] refuses to start anything. The
// blank import of package wasmworker/auto does the same while packages are
// initialised, for programs whose main cannot be changed.
//
// # Processes and goroutines
//
// A worker runs one call at a time on one goroutine, which reads the request pipe.
// A second one reads the control pipe: it takes back calls that have not begun, at
// any time, ends the one that runs when the host says so, by a flag that its code looks at, as a
// timer does when its time is up, and ends the process when the host closes the pipe or dies. Both write
// whole frames into the reply pipe. A worker never outlives its host.
//
// # Errors
//
// Main returns none. A worker that cannot serve says why on its standard error,
// which its host keeps and shows, and exits with status 2.
package wasmworker
