package wasmbin

// A Section is a section as the rewriter sees it.
type Section struct {
	ID   byte
	Body []byte
}

// Sections cuts a module into sections.
func Sections(b []byte) ([]Section, error) {
	parts, err := split(b)
	if err != nil {
		return nil, err
	}
	list := make([]Section, len(parts))
	for i, p := range parts {
		list[i] = Section{ID: p.id, Body: p.body}
	}
	return list, nil
}

// SplitJoin cuts a module into sections and puts them together again.
func SplitJoin(b []byte) ([]byte, error) {
	parts, err := split(b)
	if err != nil {
		return nil, err
	}
	return join(b[:preambleSize], parts), nil
}
