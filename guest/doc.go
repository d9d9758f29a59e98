// Package guest makes a Go program a Sandpool guest: a WebAssembly module whose
// functions a host calls.
//
//	package main
//
//	import (
//		"strings"
//
//		"github.com/sandpool/sandpool/guest"
//	)
//
//	func init() {
//		guest.Register("words", func(text string) (int, error) {
//			return len(strings.Fields(text)), nil
//		})
//	}
//
//	func main() {} // never called
//
// Build it with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o words.wasm
//
// [Register] names a function; [Log], [Logf] and [LogHandler] send log lines to
// the host, weighed by a [Level]; [CallHost] runs a function of the host's. On other platforms than wasip1 the package
// compiles and does nothing but show log lines on standard error, so that the
// functions can be tested with go test. The interface to the host is described
// in ABI.md.
//
// # Calls
//
// An instance runs one call at a time. A call
// ends when its function returns; a goroutine it leaves behind stands still until
// a later call lets it run, which may never come. Whether the next call finds this instance,
// and with it the package's variables, is the host's choice: keep nothing in them
// that a result depends on.
//
// # Errors
//
// The host sees the text of an error that a function returns, not its type. A
// panic fails the call with its text and stack; the instance goes on. So do an input that does not fit the function's
// type and a result that cannot be encoded, such as a channel. What the Go
// runtime does not recover from is a trap, which ends the instance: a panic in a
// goroutine the function started, a deadlock, running out of memory. So does
// [os.Exit], which the host sees as an exit, and [runtime.Goexit], which fails the call as
// a panic does.
//
// [CallHost] returns a [*HostError] for a host function that failed or that the
// host has not granted.
package guest
