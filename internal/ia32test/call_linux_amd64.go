package ia32test

// Numbers of calls of 32-bit programs, none of which takes arguments.
const (
	Getpid  = 20 // writev to a 64-bit program
	Getppid = 64 // semget
)

// Call makes a call without arguments by interrupt 0x80 and returns what the kernel does: a
// result, or a negative error number. The process faults where the kernel has no such
// calls.
func Call(number uint32) int32
