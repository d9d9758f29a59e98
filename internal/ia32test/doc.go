// Package ia32test makes system calls as 32-bit programs do, from a 64-bit one. It is for
// tests of filters, which have to know the two apart: their numbers mean different calls.
package ia32test
