package rewrite

import "crypto/sha256"

// Held reports whether there is an entry for a module.
func Held(sum [sha256.Size]byte) bool {
	_, ok := held.Load(sum)
	return ok
}
