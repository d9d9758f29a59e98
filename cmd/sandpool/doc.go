// Command sandpool runs functions of WebAssembly modules from the command line,
// in the sandboxed worker processes of package executor, and shows what is in a
// module.
//
//	sandpool run wordcount.wasm count '"a text"'
//	sandpool inspect wordcount.wasm
//
// # Processes and goroutines
//
// The program is its own worker: main begins with wasmworker.Main. Beside the
// executor's goroutines there is one that waits for signals and, in run, one
// that reads the inputs. The latter may be left in a read of standard input,
// which nothing can interrupt; it then ends with the process.
//
// # Errors
//
// Each error is one line on standard error with the prefix "sandpool: ". The exit
// statuses are listed by sandpool --help and in status.go. Text from a module or
// guest is escaped where it is shown, so that it cannot drive a terminal.
package main
