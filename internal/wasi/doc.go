// Package wasi is WASI preview 1 as guests get it: standard streams, arguments,
// environment, clocks, random numbers, poll_oneoff and proc_exit. There are no
// sockets, and files only where somebody else's functions serve them; see
// [InstantiateFiles].
//
//	err := wasi.Instantiate(ctx, r, func() *wasi.System { return running })
//
// All that a guest can change on the host's side is one number, [System.State], so
// that an instance can be put back to an earlier state without asking what it has
// done. No function allocates, for the sake of processes that collect no garbage
// while guests run. The exception is proc_exit, after which the guest is over.
//
// # Errors
//
// Pointers are checked before anything is done: one that is outside memory gives
// EFAULT and has no effect. A range of no bytes may end where memory ends. What is
// not offered answers ENOSYS, or EBADF where it is about a file descriptor that is
// not open, since that is how C libraries and Go's runtime learn that there are no
// more.
package wasi
