//go:build !unix

package guesttest

import "io/fs"

// private is true: the temporary directory of these systems is the user's own.
func private(fs.FileInfo) bool { return true }
