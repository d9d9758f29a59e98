package codecache

// SetSize changes the bound of a store.
func SetSize(s *Store, size int64) { s.size = size }

// Path returns the file of an entry.
func Path(s *Store, id ID) string { return s.path(id) }
