package snapshot

// reserve takes the whole limit from Go's heap, which touches no page before
// the guest does.
func reserve(limit uint64) ([]byte, error) { return make([]byte, limit), nil }

func open([]byte, uint64, uint64) error { return nil }

func release([]byte) {}
