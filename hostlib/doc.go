// Package hostlib stands for the host functions that come with Sandpool: nothing
// of them is there unless a program puts them into its executor.HostModule and a
// function's Grants name them.
//
//   - hostlib/kv: a key-value store that the host supplies.
//   - hostlib/fetch: HTTP requests to hosts that the host lists.
//   - hostlib/hostapi: their names and types, for guests too.
package hostlib
